package dev.lorikeet.cli.console;

import dev.lorikeet.LorikeetException;

/** The exit codes, as the help and the README list them. */
public final class ExitCode {
  /** What was asked for is done. */
  public static final int OK = 0;

  /** It failed, or part of it did. */
  public static final int FAILURE = 1;

  /** The arguments make no sense. */
  public static final int USAGE = 2;

  /** Nothing here can do it. */
  public static final int ENVIRONMENT = 3;

  /** A disk has no room for what was to be written. */
  public static final int STORAGE = 4;

  /** Somebody stopped it. */
  public static final int INTERRUPTED = 130;

  /** Nobody reads the output any more: 128 and the number of SIGPIPE, as shells have it. */
  public static final int UNREAD = 141;

  private ExitCode() {}

  /** Returns whether a failure says that nobody reads the output any more. */
  public static boolean isUnread(Throwable failure) {
    return failure instanceof StandardOutput.Gone;
  }

  /** Returns the exit code of a failure. */
  public static int of(LorikeetException.Code code) {
    return switch (code) {
      case PLUGIN_UNAVAILABLE -> ENVIRONMENT;
      case CANCELLED -> INTERRUPTED;
      case STORAGE_FULL -> STORAGE;
      default -> FAILURE;
    };
  }
}
