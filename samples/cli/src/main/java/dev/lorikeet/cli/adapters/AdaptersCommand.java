package dev.lorikeet.cli.adapters;

import dev.lorikeet.cli.console.Console;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The commands on adapter files. */
@Command(
    name = "adapters",
    sortOptions = false,
    synopsisSubcommandLabel = "COMMAND",
    description =
        "Lists, inspects and converts adapter files: PEFT directories, GGUF and Arrow files.")
public final class AdaptersCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  private AdaptersCommand() {}

  /** Returns the command with those below it. */
  public static CommandLine line(Console console) {
    return new CommandLine(new AdaptersCommand())
        .addSubcommand(new ListAdaptersCommand(console))
        .addSubcommand(new InspectAdapterCommand(console))
        .addSubcommand(new ConvertAdapterCommand(console));
  }

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "expected a command: list, inspect or convert");
  }
}
