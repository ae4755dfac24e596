package dev.lorikeet.files.text;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;

/** A folder whose files say something of texts; whose it is decides which links are followed. */
public interface TextFolder {
  /** Returns whose files they are. */
  Faults faults();

  /** Returns the path of a file, for messages. */
  Path path(String name);

  /** Returns whether there is a file of that name. */
  boolean has(String name);

  /**
   * Reads a whole file.
   *
   * @throws dev.lorikeet.LorikeetException if it cannot be read, is no regular file or is larger
   */
  ByteBuffer read(String name, int maxBytes);

  /** Returns the folder of a model. */
  static TextFolder ofModel(Path directory) {
    return new TextFolder() {
      @Override
      public Faults faults() {
        return Faults.MODEL;
      }

      @Override
      public Path path(String name) {
        return directory.resolve(name);
      }

      @Override
      public boolean has(String name) {
        return Files.exists(path(name));
      }

      @Override
      public ByteBuffer read(String name, int maxBytes) {
        return UntrustedFile.read(Faults.MODEL, path(name), maxBytes);
      }
    };
  }
}
