package dev.lorikeet.cli;

import dev.lorikeet.cli.telemetry.TelemetryTarget;
import java.util.Optional;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;
import picocli.CommandLine.Spec;

/** The command above all others. */
@Command(
    name = "lorikeet",
    description = "Many LoRA adapters over one base model, decoded in one batch.",
    mixinStandardHelpOptions = true,
    scope = ScopeType.INHERIT,
    versionProvider = LorikeetCommand.Version.class,
    synopsisSubcommandLabel = "COMMAND",
    sortOptions = false,
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:success",
      "1:failure; the message begins with a stable code",
      "2:wrong usage",
      "3:no plugin that can do this here, or no suitable JDK",
      "4:no room on a disk",
      "130:interrupted",
      "141:nobody reads the output any more"
    })
final class LorikeetCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-v", "--verbose"},
      scope = ScopeType.INHERIT,
      description = "Show stack traces, and what libraries log.")
  boolean verbose;

  @Option(
      names = "--telemetry",
      paramLabel = "print|export",
      scope = ScopeType.INHERIT,
      description =
          "Report spans and metrics: print them at the end, or export them as OpenTelemetry's"
              + " OTEL_* environment variables say.")
  Optional<TelemetryTarget> telemetry = Optional.empty();

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command");
  }

  /** Tells the versions of Lorikeet and Java. */
  static final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
      String version =
          Optional.ofNullable(Main.class.getPackage().getImplementationVersion())
              .orElse("in development");
      return new String[] {
        "lorikeet " + version,
        "picocli "
            + CommandLine.VERSION
            + ", ${java.vm.name} ${java.runtime.version}, ${os.name} ${os.arch}"
      };
    }
  }
}
