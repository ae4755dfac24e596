package dev.lorikeet.bench;

import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command above all benchmarks. */
@Command(
    name = "lorikeet bench",
    description = "Measures Lorikeet beside other libraries, and against what the machine allows.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = BenchCommand.Version.class,
    sortOptions = false,
    synopsisSubcommandLabel = "COMMAND")
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command");
  }

  /** Tells the version of Lorikeet. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      return new String[] {
        "lorikeet "
            + Optional.ofNullable(Main.class.getPackage().getImplementationVersion())
                .orElse("in development")
      };
    }
  }
}
