package dev.lorikeet.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The commands on adapter files. */
@Command(
    name = "adapters",
    sortOptions = false,
    synopsisSubcommandLabel = "COMMAND",
    description = "Lists, inspects and converts adapter files: PEFT directories and Arrow files.")
final class AdaptersCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(), "expected a command: list, inspect or convert");
  }
}
