package dev.lorikeet.bench.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Makes folders that are whole or not there, so that the next run can rely on what it finds. */
public final class WholeFolder {
  private WholeFolder() {}

  /** Writes files into a folder that exists. */
  public interface Maker {
    /** Writes them. */
    void write(Path folder) throws IOException;
  }

  /**
   * Makes a folder if it is not there.
   *
   * @param says hears of what is made
   */
  public static void make(Path target, Consumer<String> says, Maker maker) throws IOException {
    if (Files.exists(target)) {
      return;
    }
    says.accept("writing " + target);
    Path unfinished = target.resolveSibling(target.getFileName() + ".part");
    if (Files.exists(unfinished)) {
      try (Stream<Path> left = Files.list(unfinished)) {
        for (Path file : left.toList()) {
          Files.delete(file);
        }
      }
    }
    Files.createDirectories(unfinished);
    maker.write(unfinished);
    Files.move(unfinished, target);
  }
}
