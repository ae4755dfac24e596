package dev.lorikeet.bench;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.bench.adapters.AdaptersCommand;
import dev.lorikeet.bench.families.FamiliesCommand;
import dev.lorikeet.bench.families.KindsCommand;
import dev.lorikeet.bench.kernels.KernelsCommand;
import dev.lorikeet.bench.pipeline.PipelineCommand;
import dev.lorikeet.bench.routing.RoutingCommand;
import dev.lorikeet.bench.serve.ContentionCommand;
import dev.lorikeet.bench.serve.ServeCommand;
import dev.lorikeet.bench.train.TrainCommand;
import java.io.IOException;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;

/** Runs the benchmarks' command line: {@code ./lorikeet bench COMMAND}. */
public final class Main {
  private Main() {}

  /** Runs a command and ends the process with its exit code. */
  public static void main(String[] args) {
    Logger.getLogger("").setLevel(Level.SEVERE); // libraries log through java.util.logging
    int exitCode = commands().execute(args);
    Runtime.getRuntime().halt(exitCode); // measured libraries leave threads behind
  }

  /** Returns the command line; this is the place to add a benchmark. */
  static CommandLine commands() {
    return new CommandLine(new BenchCommand())
        .addSubcommand(new ServeCommand())
        .addSubcommand(new ContentionCommand())
        .addSubcommand(new AdaptersCommand())
        .addSubcommand(new KernelsCommand())
        .addSubcommand(new FamiliesCommand())
        .addSubcommand(new KindsCommand())
        .addSubcommand(new RoutingCommand())
        .addSubcommand(new TrainCommand())
        .addSubcommand(new PipelineCommand())
        .setUsageHelpAutoWidth(true)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setExecutionExceptionHandler(
            (failure, command, parsed) -> {
              boolean told = failure instanceof IOException || failure instanceof LorikeetException;
              command
                  .getErr()
                  .println("lorikeet bench: " + (told ? failure.getMessage() : failure));
              if (!told) {
                failure.printStackTrace(command.getErr());
              }
              return CommandLine.ExitCode.SOFTWARE;
            });
  }
}
