package dev.lorikeet.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Something that writes files and can be killed while it does, done again and again in a folder of
 * its own. A process that does it may end at any moment; another then goes on.
 */
interface Chore {
  String name();

  /**
   * Does it once.
   *
   * @param turn which of the results there are, in turns
   * @return the exit code of the command, as {@link dev.lorikeet.cli.console.ExitCode} has it
   */
  int run(int turn) throws IOException;

  /** Makes sure that there is something to do, before a command is started in another process. */
  default void begin() throws IOException {}

  /** Fails unless all that readers can see is one result, whole, or where it may be nothing. */
  void checkWhole() throws IOException;

  /** Fails if anything is there beside a result. To be called when a run has ended well. */
  void checkClean() throws IOException;

  /** Returns the command that does it, without its first word; empty where no command does. */
  default List<String> command(int turn) {
    return List.of();
  }

  /** Returns how much disk one run takes at most, roughly. */
  long bytes();

  /** Returns where it works. */
  Path folder();
}
