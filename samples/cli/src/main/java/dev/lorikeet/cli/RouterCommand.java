package dev.lorikeet.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The commands on routers. */
@Command(
    name = "router",
    sortOptions = false,
    synopsisSubcommandLabel = "COMMAND",
    description =
        "Trains and judges routers, which decide for each token, once or at every layer, which adapters are used.")
final class RouterCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command: train or evaluate");
  }
}
