package dev.lorikeet.cli.options;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;

/** Tells failures that the arguments of a command are to blame for from all others. */
final class Usage {
  private Usage() {}

  /** Returns whether a failure is of the arguments. */
  static boolean is(LorikeetException failure) {
    return failure.code() == Code.INVALID_REQUEST || failure.code() == Code.INVALID_CONFIG;
  }

  /** Returns what to throw for a failure: wrong usage, or itself. */
  static RuntimeException of(CommandSpec spec, LorikeetException failure) {
    return is(failure)
        ? new ParameterException(spec.commandLine(), failure.getMessage(), failure)
        : failure;
  }
}
