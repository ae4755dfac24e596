package dev.lorikeet.cli.router;

import dev.lorikeet.cli.console.Console;
import picocli.CommandLine;
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
public final class RouterCommand implements Runnable {
  @Spec private CommandSpec spec = CommandSpec.create();

  private RouterCommand() {}

  /** Returns the command with those below it. */
  public static CommandLine line(Console console) {
    return new CommandLine(new RouterCommand())
        .addSubcommand(new TrainRouterCommand(console))
        .addSubcommand(new EvaluateRouterCommand(console));
  }

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected a command: train or evaluate");
  }
}
