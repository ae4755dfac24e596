package dev.lorikeet.files;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;

/**
 * Files that appear whole or not at all: written in a {@link Workplace}, brought to the disk, and
 * moved into their place. A file that was there is replaced in the same instant.
 */
public final class WholeFile {
  private WholeFile() {}

  /** Writes what belongs into a file. */
  @FunctionalInterface
  public interface Content {
    /** Writes to a channel that stands at the beginning of an empty file. */
    void writeTo(FileChannel channel) throws IOException;
  }

  /**
   * Writes a file.
   *
   * @throws IOException if it cannot be written; nothing is left of it then, and what was there
   *     stays
   */
  public static void write(Path file, Content content) throws IOException {
    Path whole = file.toAbsolutePath();
    Path folder = whole.getParent();
    if (folder == null) {
      throw new IOException(file + ": expected a file in a folder, found the root");
    }
    try (Workplace workplace = Workplace.in(folder)) {
      Path unfinished = workplace.path("file");
      writeNew(unfinished, content);
      Files.move(
          unfinished, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      sync(folder);
    }
  }

  /** Writes a file of these bytes, as {@link #write(Path, Content)} does. */
  public static void write(Path file, byte[] bytes) throws IOException {
    write(file, channel -> fill(channel, bytes));
  }

  /** Writes all of these bytes to a channel. */
  public static void fill(FileChannel channel, byte[] bytes) throws IOException {
    for (ByteBuffer rest = ByteBuffer.wrap(bytes); rest.hasRemaining(); ) {
      channel.write(rest);
    }
  }

  /** Writes a file that is not there yet, where nobody looks, and brings it to the disk. */
  public static void writeNew(Path file, Content content) throws IOException {
    try (FileChannel channel =
        FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
      content.writeTo(channel);
      channel.force(true);
    }
  }

  /** Brings to the disk which files a folder has, where the system can do so. */
  public static void sync(Path folder) throws IOException {
    try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
      channel.force(true);
    } catch (java.nio.file.AccessDeniedException e) {
      return; // Windows opens no folders, and needs none of this
    }
  }
}
