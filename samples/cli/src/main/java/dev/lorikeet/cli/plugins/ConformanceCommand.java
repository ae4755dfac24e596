package dev.lorikeet.cli.plugins;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.conformance.runner.ConformanceRunner;
import dev.lorikeet.conformance.runner.ProviderOption;
import dev.lorikeet.conformance.setup.Profile;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Holds plugins to the rules of the specification. */
@Command(
    name = "conformance",
    sortOptions = false,
    description =
        "Runs the conformance suite on the providers of a plugin, or on all that are found, and reports rule by rule.")
public final class ConformanceCommand implements Callable<Integer> {
  private final Console console;

  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = "--plugin",
      paramLabel = "JAR",
      description =
          "Jar or folder of classes of the plugin, and of what it depends on; may be repeated. None: every plugin found.")
  private List<Path> plugins = new ArrayList<>();

  @Option(
      names = "--option",
      paramLabel = "KIND/NAME.KEY=VALUE",
      description =
          "Option that a provider needs, as in router/uniform.adapters=a,b; KIND is pool, store, executor, router or model; may be repeated.")
  private List<String> options = new ArrayList<>();

  @ArgGroup private Effort effort = new Effort();

  /** How much to try. */
  static final class Effort {
    @Option(names = "--quick", description = "Try little: seconds, as in every build.")
    private boolean quick;

    @Option(names = "--thorough", description = "Try much, as long as it takes.")
    private boolean thorough;

    Profile profile() {
      return quick ? Profile.QUICK : thorough ? Profile.THOROUGH : Profile.NORMAL;
    }
  }

  @Option(
      names = "--seed",
      paramLabel = "HEX",
      description = "Seed that an earlier run reported, to see it again.")
  private Optional<String> seed = Optional.empty();

  @Option(
      names = "--report",
      paramLabel = "DIR",
      description = "Write report.txt, conformance.json and JUnit's XML there.")
  private Optional<Path> report = Optional.empty();

  @Option(names = "--json", description = "Print the report as JSON.")
  private boolean json;

  /** Creates the command; the caller adds it to its parent. */
  public ConformanceCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() throws IOException {
    for (Path plugin : plugins) {
      if (!Files.exists(plugin)) {
        throw new ParameterException(
            spec.commandLine(), "--plugin: expected a jar or a folder, found no file " + plugin);
      }
    }
    if (!json) {
      try (PrintStream out = new PrintStream(new Lines(console.out()), false, UTF_8)) {
        return run(report, out);
      }
    }
    Path folder =
        report.isPresent() ? report.get() : Files.createTempDirectory("lorikeet-conformance-");
    try {
      ByteArrayOutputStream text = new ByteArrayOutputStream();
      int exitCode;
      try (PrintStream out = new PrintStream(text, false, UTF_8)) {
        exitCode = run(Optional.of(folder), out);
      }
      Path written = folder.resolve("conformance.json");
      if (Files.exists(written)) {
        console.out().println(Files.readString(written));
      } else {
        Json.print(
            console.out(),
            new Json.Failure(
                new Json.Problem("NOTHING_TESTED", text.toString(UTF_8).strip(), null)));
      }
      return exitCode;
    } finally {
      if (report.isEmpty()) {
        delete(folder);
      }
    }
  }

  private int run(Optional<Path> folder, PrintStream out) {
    return ConformanceRunner.run(
        new ConformanceRunner.Options(plugins, options(), effort.profile(), seed(), folder), out);
  }

  private List<ProviderOption> options() {
    try {
      return options.stream().map(ProviderOption::parse).toList();
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
    }
  }

  private OptionalLong seed() {
    try {
      return seed.isPresent()
          ? OptionalLong.of(Long.parseUnsignedLong(seed.get(), 16))
          : OptionalLong.empty();
    } catch (NumberFormatException e) {
      throw new ParameterException(
          spec.commandLine(),
          "--seed: expected up to 16 hexadecimal digits, found '" + seed.get() + "'",
          e);
    }
  }

  private static void delete(Path folder) throws IOException {
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        Files.delete(file);
      }
    }
    Files.delete(folder);
  }

  /** Passes text on line by line, so that a long run shows how far it is. */
  private static final class Lines extends OutputStream {
    private final PrintWriter out;
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();

    Lines(PrintWriter out) {
      this.out = out;
    }

    @Override
    public void write(int b) {
      line.write(b);
      if (b == '\n') {
        flush();
      }
    }

    @Override
    public void flush() {
      out.print(line.toString(UTF_8));
      out.flush();
      line.reset();
    }
  }
}
