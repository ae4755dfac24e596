package dev.lorikeet.conformance.runner;

import dev.lorikeet.conformance.runner.ConformanceRunner.Options;
import dev.lorikeet.conformance.setup.Profile;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** The suite as a program. */
public final class Main {
  private static final String USAGE =
      """
      usage: java -jar lorikeet-conformance-all.jar [--quick | --thorough] [--seed HEX] [--report DIR]
             [--option KIND/NAME.KEY=VALUE]... JAR...

      Tests every Lorikeet provider in the jars. Give the jars of a plugin's own dependencies as well.
        --quick       seconds, as in every build
        --thorough    as long as it takes
        --seed HEX    the seed of an earlier run, to see it again
        --report DIR  writes report.txt, conformance.json and TEST-*.xml there
        --option KIND/NAME.KEY=VALUE
                      an option that a provider needs; KIND is pool, store, executor, router or
                      model; may be repeated: --option router/uniform.adapters=a,b
      Exit code: 0 conforms, 1 does not, 2 wrong usage.
      """;

  private Main() {}

  /** Runs the suite and exits. */
  public static void main(String[] args) {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    int code = run(List.of(args), out);
    out.flush();
    System.exit(code);
  }

  static int run(List<String> args, PrintStream out) {
    List<Path> jars = new ArrayList<>();
    List<ProviderOption> options = new ArrayList<>();
    Profile profile = Profile.NORMAL;
    OptionalLong seed = OptionalLong.empty();
    Optional<Path> report = Optional.empty();
    Iterator<String> rest = args.iterator();
    try {
      while (rest.hasNext()) {
        String arg = rest.next();
        switch (arg) {
          case "--quick" -> profile = Profile.QUICK;
          case "--thorough" -> profile = Profile.THOROUGH;
          case "--seed" -> seed = OptionalLong.of(Long.parseUnsignedLong(value(arg, rest), 16));
          case "--option" -> options.add(ProviderOption.parse(value(arg, rest)));
          case "--report" -> report = Optional.of(Path.of(value(arg, rest)));
          default -> {
            if (arg.startsWith("-")) {
              throw new IllegalArgumentException("unknown option " + arg);
            }
            jars.add(Path.of(arg));
          }
        }
      }
      if (jars.isEmpty()) {
        throw new IllegalArgumentException("expected a jar, found none");
      }
    } catch (IllegalArgumentException e) {
      out.println("conformance: " + e.getMessage());
      out.print(USAGE);
      return ConformanceRunner.USAGE;
    }
    return ConformanceRunner.run(new Options(jars, options, profile, seed, report), out);
  }

  private static String value(String option, Iterator<String> rest) {
    if (!rest.hasNext()) {
      throw new IllegalArgumentException(option + ": expected a value");
    }
    return rest.next();
  }
}
