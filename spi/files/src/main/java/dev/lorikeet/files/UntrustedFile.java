package dev.lorikeet.files;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;

/** Opens and reads files that others wrote: regular files alone, and never past their end. */
public final class UntrustedFile {
  private UntrustedFile() {}

  /**
   * Opens a file that is regular and no link: opening a pipe or a device could block forever or
   * have effects.
   *
   * @param faults whose file it is
   * @param shown how errors name it
   * @param real its real path, links resolved
   */
  public static FileChannel open(Faults faults, Path shown, Path real) throws IOException {
    var attributes =
        Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!attributes.isRegularFile()) {
      throw faults.invalid(
          shown, "a regular file", attributes.isDirectory() ? "a directory" : "a special file");
    }
    return FileChannel.open(real, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
  }

  /** Fills the rest of a buffer from a position of a file. */
  public static void readFully(
      Faults faults, Path file, FileChannel channel, ByteBuffer buffer, long position)
      throws IOException {
    long at = position;
    while (buffer.hasRemaining()) {
      int read = channel.read(buffer, at);
      if (read < 0) {
        throw faults.refuse(
            file,
            "truncated: expected "
                + buffer.remaining()
                + " more bytes at "
                + at
                + ", found the end");
      }
      at += read;
    }
  }
}
