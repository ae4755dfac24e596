package dev.lorikeet.cli;

import dev.lorikeet.LorikeetException;

/** The exit codes, as the help and the README list them. */
final class ExitCode {
  static final int OK = 0;
  static final int FAILURE = 1;
  static final int USAGE = 2;
  static final int ENVIRONMENT = 3;
  static final int INTERRUPTED = 130;

  private ExitCode() {}

  static int of(LorikeetException.Code code) {
    return switch (code) {
      case PLUGIN_UNAVAILABLE -> ENVIRONMENT;
      case CANCELLED -> INTERRUPTED;
      default -> FAILURE;
    };
  }
}
