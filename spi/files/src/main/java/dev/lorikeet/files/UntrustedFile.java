package dev.lorikeet.files;

import dev.lorikeet.LorikeetException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;

/** Opens and reads files that others wrote: regular files alone, and never past their end. */
public final class UntrustedFile {
  /** How a Git LFS pointer begins, and how long one may be, as its specification says. */
  private static final byte[] POINTER =
      "version https://git-lfs.github.com/spec/".getBytes(StandardCharsets.US_ASCII);

  private static final int LONGEST_POINTER = 1024;

  private UntrustedFile() {}

  /**
   * Opens a file that is regular, or a link to one.
   *
   * @param faults whose file it is
   */
  public static FileChannel open(Faults faults, Path file) throws IOException {
    return open(faults, file, real(faults, file));
  }

  /**
   * Opens a file that is regular and no link: opening a pipe or a device could block forever or
   * have effects.
   *
   * @param faults whose file it is
   * @param shown how errors name it
   * @param real its real path, links resolved
   * @throws LorikeetException if it is another kind of file, or a Git LFS pointer, which stands
   *     where a clone without Git LFS has not fetched the file
   */
  public static FileChannel open(Faults faults, Path shown, Path real) throws IOException {
    var attributes =
        Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!attributes.isRegularFile()) {
      throw faults.invalid(
          shown, "a regular file", attributes.isDirectory() ? "a directory" : "a special file");
    }
    FileChannel channel =
        FileChannel.open(real, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
    try {
      if (isPointer(channel)) {
        throw faults.refuse(
            shown,
            "expected the file itself, found a Git LFS pointer to it: fetch the file, with git lfs"
                + " pull in its repository or by downloading it");
      }
      return channel;
    } catch (IOException | RuntimeException | Error e) {
      channel.close();
      throw e;
    }
  }

  private static boolean isPointer(FileChannel channel) throws IOException {
    if (channel.size() < POINTER.length || channel.size() > LONGEST_POINTER) {
      return false;
    }
    ByteBuffer start = ByteBuffer.allocate(POINTER.length);
    while (start.hasRemaining() && channel.read(start, start.position()) >= 0) {}
    return Arrays.equals(start.array(), POINTER);
  }

  private static Path real(Faults faults, Path file) throws IOException {
    try {
      return file.toRealPath();
    } catch (NoSuchFileException e) {
      throw faults.invalid(file, "a regular file", "nothing", e);
    }
  }

  /**
   * Reads a whole file, which must be regular, or a link to a regular one.
   *
   * @param faults whose file it is
   * @param maxBytes the largest size that is read at all
   * @throws dev.lorikeet.LorikeetException if it is another kind of file, larger, truncated while
   *     it is read or not readable, or if the heap is too small for it
   */
  public static ByteBuffer read(Faults faults, Path file, long maxBytes) {
    return read(faults, file, maxBytes, "");
  }

  /** As {@link #read(Faults, Path, long)}, with a reason for the largest size. */
  static ByteBuffer read(Faults faults, Path file, long maxBytes, String reason) {
    try (FileChannel channel = open(faults, file)) {
      long size = channel.size();
      if (size > Math.min(maxBytes, Integer.MAX_VALUE)) {
        throw faults.invalid(file, "at most " + maxBytes + " bytes" + reason, size);
      }
      try {
        ByteBuffer bytes = ByteBuffer.allocate((int) size);
        readFully(faults, file, channel, bytes, 0);
        return bytes.flip();
      } catch (OutOfMemoryError e) {
        throw tooLargeForHeap(faults, file, size, e);
      }
    } catch (IOException e) {
      throw faults.invalid(file, "a readable file", e, e);
    }
  }

  /** Returns the error of a file whose content does not fit into the heap. */
  static LorikeetException tooLargeForHeap(
      Faults faults, Object file, long size, OutOfMemoryError e) {
    return faults.invalid(
        file,
        "a file that fits into the heap, of which the JVM may use "
            + Runtime.getRuntime().maxMemory()
            + " bytes (-Xmx)",
        size + " bytes that take more",
        e);
  }

  /** Reads a whole file as {@link #read} does, which must be UTF-8. */
  public static String readText(Faults faults, Path file, long maxBytes) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(read(faults, file, maxBytes)).toString();
    } catch (CharacterCodingException e) {
      throw faults.invalid(file, "UTF-8", "a malformed sequence of bytes", e);
    }
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
