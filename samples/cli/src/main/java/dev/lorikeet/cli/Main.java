package dev.lorikeet.cli;

import dev.lorikeet.cli.adapters.AdaptersCommand;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.generate.DemoCommand;
import dev.lorikeet.cli.generate.GenerateCommand;
import dev.lorikeet.cli.generate.ScoreCommand;
import dev.lorikeet.cli.models.PullCommand;
import dev.lorikeet.cli.models.QuantizeCommand;
import dev.lorikeet.cli.plugins.ConformanceCommand;
import dev.lorikeet.cli.plugins.PluginsCommand;
import dev.lorikeet.cli.router.RouterCommand;
import dev.lorikeet.cli.telemetry.TelemetrySession;
import dev.lorikeet.cli.train.MemberCommand;
import dev.lorikeet.cli.train.TrainCommand;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import picocli.CommandLine.RunLast;

/** Runs the {@code lorikeet} command. */
public final class Main {
  private static final Duration GRACE = Duration.ofSeconds(5);

  private Main() {}

  /** Runs a command and ends the process with its exit code. */
  public static void main(String[] args) {
    // Ctrl-C interrupts this thread, which cancels what runs, closes the model and returns.
    Thread main = Thread.currentThread();
    Thread hook =
        new Thread(
            () -> {
              main.interrupt();
              try {
                main.join(GRACE);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "lorikeet-interrupt");
    Runtime.getRuntime().addShutdownHook(hook);
    int exitCode = run(Console.system(), args);
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException shuttingDown) {
      return; // the process ends by the signal's own exit code
    }
    System.exit(exitCode);
  }

  /** Runs a command and returns its exit code; never throws. */
  static int run(Console console, String... args) {
    LorikeetCommand top = new LorikeetCommand();
    CommandLine commands = new CommandLine(top);
    commands
        .addSubcommand(new DemoCommand(console))
        .addSubcommand(new GenerateCommand(console))
        .addSubcommand(new ScoreCommand(console))
        .addSubcommand(new TrainCommand(console, Main.class.getName()))
        .addSubcommand(new MemberCommand(console))
        .addSubcommand(RouterCommand.line(console))
        .addSubcommand(new PullCommand(console))
        .addSubcommand(new QuantizeCommand(console))
        .addSubcommand(new PluginsCommand(console))
        .addSubcommand(AdaptersCommand.line(console))
        .addSubcommand(new ConformanceCommand(console));
    Errors errors = new Errors(console, top, Arrays.asList(args).contains("--json"));
    StringWriter help = new StringWriter(); // picocli keeps to itself that it could not be written
    commands
        .setOut(new PrintWriter(help))
        .setErr(console.err())
        .setColorScheme(CommandLine.Help.defaultColorScheme(console.ansi()))
        .setUsageHelpAutoWidth(true)
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(errors)
        .setExecutionExceptionHandler(errors)
        .setExecutionStrategy(
            parsed -> {
              quietLogs(top.verbose);
              Optional<TelemetrySession> telemetry = TelemetrySession.start(top.telemetry, console);
              try {
                return new RunLast().execute(parsed);
              } finally {
                telemetry.ifPresent(TelemetrySession::close);
              }
            });
    try {
      int exitCode = commands.execute(args);
      console.out().print(help);
      console.out().flush();
      return exitCode;
    } catch (RuntimeException e) {
      return errors.tell(e); // the output failed where no command ran
    } finally {
      console.err().flush();
    }
  }

  // Libraries log through java.util.logging; someone who configures it gets what they ask for.
  private static void quietLogs(boolean verbose) {
    if (System.getProperty("java.util.logging.config.file") == null
        && System.getProperty("java.util.logging.config.class") == null) {
      Logger.getLogger("").setLevel(verbose ? Level.INFO : Level.SEVERE);
    }
  }
}
