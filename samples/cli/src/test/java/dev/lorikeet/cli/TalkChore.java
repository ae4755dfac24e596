package dev.lorikeet.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.function.ToIntFunction;

/** Generates text, and writes no files but temporary ones. */
record TalkChore(String name, Path folder, List<String> words, ToIntFunction<List<String>> lorikeet)
    implements Chore {
  @Override
  public List<String> command(int turn) {
    return words;
  }

  @Override
  public int run(int turn) {
    return lorikeet.applyAsInt(words);
  }

  @Override
  public void checkWhole() {
    // nothing is written
  }

  @Override
  public void checkClean() {
    // nothing is left
  }

  @Override
  public long bytes() {
    return 0;
  }
}
