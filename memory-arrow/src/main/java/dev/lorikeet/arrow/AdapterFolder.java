package dev.lorikeet.arrow;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;

/**
 * The folder of an adapter, from which only regular files are read, and only those that really lie
 * in it. Symbolic links are resolved first: one that leaves the folder is refused, with a single
 * exception for the hub cache of Hugging Face, whose {@code models--NAME/snapshots/REVISION}
 * folders hold links into {@code models--NAME/blobs}; those two may be linked, within one model.
 * The folder itself was named by the application and may be a link.
 */
final class AdapterFolder {
  private final Path folder;
  private final Optional<Path> blobs;

  private AdapterFolder(Path folder) {
    this.folder = folder;
    this.blobs = blobsOf(folder);
  }

  static AdapterFolder of(Path path) {
    try {
      Path real = path.toRealPath();
      if (!Files.isDirectory(real)) {
        throw Refusal.invalid(path, "expected a directory with adapter_config.json, found a file");
      }
      return new AdapterFolder(real);
    } catch (NoSuchFileException e) {
      throw Refusal.invalid(path, "expected an adapter directory, found nothing there", e);
    } catch (IOException | InvalidPathException | SecurityException e) {
      throw Refusal.invalid(path, "expected a readable adapter directory, found: " + e, e);
    }
  }

  private static Optional<Path> blobsOf(Path folder) {
    for (Path at = folder; at != null; at = at.getParent()) {
      Path parent = at.getParent();
      Path model = parent == null ? null : parent.getParent();
      if (parent != null
          && model != null
          && named(parent).equals("snapshots")
          && named(model).startsWith("models--")) {
        return Optional.of(model.resolve("blobs"));
      }
    }
    return Optional.empty();
  }

  private static String named(Path path) {
    Path name = path.getFileName();
    return name == null ? "" : name.toString();
  }

  /** Returns the path of a file in this folder, for messages. */
  Path path(String name) {
    return folder.resolve(name);
  }

  /** Returns whether there is anything of that name, even a broken link. */
  boolean has(String name) {
    return Files.exists(path(name), LinkOption.NOFOLLOW_LINKS);
  }

  /** Opens a file of this folder for reading. */
  FileChannel open(String name) {
    Path file = path(name);
    try {
      Path real = file.toRealPath();
      if (!real.startsWith(folder) && !(blobs.isPresent() && real.startsWith(blobs.get()))) {
        throw Refusal.invalid(
            file,
            "expected a file within its folder, found a link to " + Refusal.show(real.toString()));
      }
      return openRegular(file, real);
    } catch (NoSuchFileException e) {
      throw Refusal.invalid(
          file,
          has(name) ? "expected a file, found a broken link" : "expected a file, found none",
          e);
    } catch (IOException | SecurityException e) {
      throw Refusal.invalid(file, "expected a readable file, found: " + e, e);
    }
  }

  /** Returns the stamp of a file that {@link #open} has opened. */
  FileStamp stamp(String name) throws IOException {
    return FileStamp.of(path(name).toRealPath());
  }

  /**
   * Opens a file that is regular and no link: opening a pipe or a device could block forever or
   * have effects.
   */
  static FileChannel openRegular(Path shown, Path real) throws IOException {
    var attributes =
        Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    if (!attributes.isRegularFile()) {
      throw Refusal.invalid(
          shown,
          "expected a regular file, found "
              + (attributes.isDirectory() ? "a directory" : "a special file"));
    }
    return FileChannel.open(real, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
  }

  /** Reads a whole file of at most {@code limit} bytes. */
  ByteBuffer read(String name, int limit) {
    Path file = path(name);
    try (FileChannel channel = open(name)) {
      long size = channel.size();
      if (size > limit) {
        throw Refusal.invalid(file, "expected at most " + limit + " bytes, found " + size);
      }
      ByteBuffer bytes = ByteBuffer.allocate((int) size);
      readFully(file, channel, bytes, 0);
      return bytes.flip();
    } catch (IOException e) {
      throw Refusal.invalid(file, "expected a readable file, found: " + e, e);
    }
  }

  /** Fills the rest of a buffer from a position of a file. */
  static void readFully(Path file, FileChannel channel, ByteBuffer buffer, long position)
      throws IOException {
    long at = position;
    while (buffer.hasRemaining()) {
      int read = channel.read(buffer, at);
      if (read < 0) {
        throw Refusal.invalid(
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
