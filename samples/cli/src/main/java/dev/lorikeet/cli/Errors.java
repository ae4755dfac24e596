package dev.lorikeet.cli;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Tells of a failure in one line on the error stream, and as an object on the output for scripts
 * that asked for JSON.
 */
record Errors(Console console, LorikeetCommand top, boolean json)
    implements IParameterExceptionHandler, IExecutionExceptionHandler {

  @Override
  public int handleParseException(ParameterException failure, String[] args) {
    report("USAGE", failure.getMessage(), failure);
    if (!json) {
      UnmatchedArgumentException.printSuggestions(failure, console.err());
      console
          .err()
          .println(
              "Try '" + failure.getCommandLine().getCommandSpec().qualifiedName() + " --help'.");
    }
    return ExitCode.USAGE;
  }

  @Override
  public int handleExecutionException(Exception failure, CommandLine command, ParseResult parsed) {
    return switch (failure) {
      case LorikeetException known -> {
        report(known.code().name(), known.getMessage(), known);
        yield ExitCode.of(known.code());
      }
      default -> {
        report(LorikeetException.Code.INTERNAL.name(), failure.toString(), failure);
        yield ExitCode.FAILURE;
      }
    };
  }

  private void report(String code, @Nullable String message, Exception failure) {
    String text = message == null ? failure.getClass().getSimpleName() : message;
    if (json) {
      Json.print(console.out(), new Json.Failure(new Json.Problem(code, text)));
    }
    console.err().println("lorikeet: " + code + ": " + Visible.oneLine(text));
    if (top.verbose) {
      failure.printStackTrace(console.err());
    }
  }
}
