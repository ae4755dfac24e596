package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.WholeFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.util.Optional;

/**
 * The bytes of a file that have come so far, {@code NAME.HASH.part} beside the place where it will
 * be. The hash of the whole is part of the name, so that what an earlier call has left is continued
 * only if it was for the same bytes. For one thread.
 */
final class PartFile implements AutoCloseable {
  private static final int BUFFER = 1 << 18;

  private final RemoteFile file;
  private final Path path;
  private final Path target;
  private final Path directory;
  private final FileChannel channel;
  private Optional<MessageDigest> digest;
  private long length;

  private PartFile(RemoteFile file, Path directory, FileChannel channel) {
    this.file = file;
    this.directory = directory;
    this.path = directory.resolve(file.partName());
    this.target = directory.resolve(file.path());
    this.channel = channel;
    this.digest = file.checksum().map(sum -> sum.begin(file.size()));
  }

  /** Returns whether a file is in a directory already, by its size and its checksum. */
  static boolean isThere(RemoteFile file, Path directory) {
    Path target = directory.resolve(file.path());
    try {
      if (!Files.isRegularFile(target) || Files.size(target) != file.size()) {
        return false;
      }
      try (FileChannel channel = FileChannel.open(target, StandardOpenOption.READ)) {
        Optional<MessageDigest> digest = file.checksum().map(sum -> sum.begin(file.size()));
        hash(channel, digest);
        return matches(file, digest);
      }
    } catch (IOException e) {
      return false; // written anew, which will say what is wrong with the place
    }
  }

  /** Returns how many bytes of a file have come, whole or in part, without looking at them. */
  static long present(RemoteFile file, Path directory) {
    try {
      Path target = directory.resolve(file.path());
      Path path = directory.resolve(file.partName());
      long bytes = Files.isRegularFile(target) ? Files.size(target) : 0;
      bytes = Math.max(bytes, Files.isRegularFile(path) ? Files.size(path) : 0);
      return Math.min(bytes, file.size());
    } catch (IOException e) {
      return 0;
    }
  }

  /** Opens what there is, or an empty one. */
  static PartFile open(RemoteFile file, Path directory) {
    Path path = directory.resolve(file.partName());
    Path target = directory.resolve(file.path());
    try {
      if (file.checksum().isPresent()) {
        adopt(target, path, file.size());
      }
      deleteOthers(file, directory);
      FileChannel channel =
          FileChannel.open(
              path,
              StandardOpenOption.CREATE,
              StandardOpenOption.READ,
              StandardOpenOption.WRITE,
              LinkOption.NOFOLLOW_LINKS);
      try {
        PartFile part = new PartFile(file, directory, channel);
        part.resume();
        return part;
      } catch (IOException | RuntimeException | Error e) {
        channel.close();
        throw e;
      }
    } catch (IOException e) {
      throw HubFaults.disk(path, e);
    }
  }

  /** Jlama writes a file in place: one that is too short is one that it did not finish. */
  private static void adopt(Path target, Path path, long size) throws IOException {
    if (Files.isRegularFile(target, LinkOption.NOFOLLOW_LINKS)
        && Files.size(target) < size
        && !Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
      Files.move(target, path);
    }
  }

  private static void deleteOthers(RemoteFile file, Path directory) throws IOException {
    try (DirectoryStream<Path> parts =
        Files.newDirectoryStream(directory, file.path() + ".{*.,}part")) {
      for (Path part : parts) {
        if (!part.endsWith(file.partName())) {
          Files.delete(part);
        }
      }
    }
  }

  /** Without a checksum nobody would notice bytes of another file, so those begin anew. */
  private void resume() throws IOException {
    if (file.checksum().isEmpty() || channel.size() > file.size()) {
      channel.truncate(0);
    }
    length = hash(channel, digest);
  }

  private static long hash(FileChannel channel, Optional<MessageDigest> digest) throws IOException {
    if (digest.isEmpty()) {
      return channel.size();
    }
    ByteBuffer buffer = ByteBuffer.allocate(BUFFER);
    long position = 0;
    for (int count = channel.read(buffer, 0); count > 0; count = channel.read(buffer, position)) {
      position += count;
      digest.get().update(buffer.flip());
      buffer.clear();
    }
    return position;
  }

  /** Returns how many bytes are here. */
  long length() {
    return length;
  }

  /** Adds bytes at the end. */
  void append(byte[] bytes, int count) {
    try {
      ByteBuffer buffer = ByteBuffer.wrap(bytes, 0, count);
      while (buffer.hasRemaining()) {
        length += channel.write(buffer, length);
      }
      digest.ifPresent(value -> value.update(bytes, 0, count));
    } catch (IOException e) {
      throw HubFaults.disk(path, e);
    }
  }

  /** Forgets all bytes. */
  void restart() {
    try {
      channel.truncate(0);
      length = 0;
      digest = file.checksum().map(sum -> sum.begin(file.size()));
    } catch (IOException e) {
      throw HubFaults.disk(path, e);
    }
  }

  /**
   * Checks all bytes against the checksum and puts the file into its place. What does not match is
   * forgotten.
   *
   * @return whether it did
   */
  boolean finish() {
    if (!matches(file, digest)) {
      restart();
      return false;
    }
    try {
      channel.force(true);
      channel.close();
      Files.move(path, target, StandardCopyOption.ATOMIC_MOVE);
      WholeFile.sync(directory);
      return true;
    } catch (IOException e) {
      throw HubFaults.disk(target, e);
    }
  }

  private static boolean matches(RemoteFile file, Optional<MessageDigest> digest) {
    return digest
        .flatMap(value -> file.checksum().map(sum -> sum.hex().equals(Checksum.end(value))))
        .orElse(true);
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw HubFaults.disk(path, e);
    }
  }
}
