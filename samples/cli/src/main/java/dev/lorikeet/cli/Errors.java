package dev.lorikeet.cli;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Visible;
import java.io.IOException;
import java.io.UncheckedIOException;
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
    return tell(failure);
  }

  /** Tells of a failure and returns the exit code. */
  int tell(Exception failure) {
    if (ExitCode.isUnread(failure)) {
      return ExitCode.UNREAD;
    }
    LorikeetException known = known(failure);
    report(known.code().name(), known.getMessage(), known);
    return ExitCode.of(known.code());
  }

  private static LorikeetException known(Exception failure) {
    return switch (failure) {
      case LorikeetException known -> known;
      case IOException files -> LorikeetException.ofFiles("reading or writing a file", files);
      default -> wrapped(failure);
    };
  }

  /** A full disk is no defect, however many libraries have wrapped it. */
  private static LorikeetException wrapped(Exception failure) {
    Throwable cause = failure.getCause();
    for (int depth = 0; cause != null && depth < 8; depth++) { // chains may bite their tail
      if (cause instanceof IOException files) {
        LorikeetException known = LorikeetException.ofFiles("reading or writing a file", files);
        if (failure instanceof UncheckedIOException
            || known.code() == LorikeetException.Code.STORAGE_FULL) {
          return known;
        }
      }
      cause = cause.getCause();
    }
    return new LorikeetException(LorikeetException.Code.INTERNAL, failure.toString(), failure);
  }

  private void report(String code, @Nullable String message, Exception failure) {
    String text = message == null ? failure.getClass().getSimpleName() : message;
    if (json) {
      Json.print(console.out(), new Json.Failure(new Json.Problem(code, text, id(failure))));
    }
    console.err().println("lorikeet: " + code + ": " + Visible.oneLine(text));
    if (top.verbose) {
      failure.printStackTrace(console.err());
    }
  }

  private static @Nullable String id(Exception failure) {
    return failure instanceof LorikeetException known ? known.id() : null;
  }
}
