package dev.lorikeet.jlama.hub;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.files.WholeFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * The file {@code .finished} that Jlama puts into a directory when all of a model is there. Jlama's
 * own is empty; ours says what was downloaded, {@code owner/name COMMIT}, since in Jlama's folder
 * {@code a_b/c} and {@code a/b_c} have the same directory.
 */
final class FinishedMarker {
  private static final String NAME = ".finished";
  private static final int MAX_BYTES = 1024;

  private FinishedMarker() {}

  static boolean isIn(Path directory) {
    return Files.isRegularFile(directory.resolve(NAME));
  }

  /** Returns whether a directory is marked as that of another repository. */
  static boolean namesAnother(Path directory, ModelName name) {
    Path file = directory.resolve(NAME);
    try {
      if (!Files.isRegularFile(file) || Files.size(file) > MAX_BYTES) {
        return false;
      }
      String text = Files.readString(file).strip();
      return !text.isEmpty() && !text.startsWith(name.repository() + " ");
    } catch (IOException e) {
      return false; // not ours
    }
  }

  static void write(Path directory, ModelName name, String commit) {
    Path file = directory.resolve(NAME);
    try {
      WholeFile.write(file, (name.repository() + " " + commit + "\n").getBytes(UTF_8));
    } catch (IOException e) {
      throw HubFaults.disk(file, e);
    }
  }
}
