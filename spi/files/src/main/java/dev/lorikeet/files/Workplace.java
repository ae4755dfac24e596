package dev.lorikeet.files;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A hidden folder in which something is made that then moves into the folder around it, which is on
 * the same file system. Nobody but the user may look into it. It is gone when it is closed; what a
 * process leaves that is killed before, the next one clears away that works in the same place. For
 * one thread.
 */
public final class Workplace implements AutoCloseable {
  /*
   * A process holds a lock on a file in its workplace, which the system drops with the process. Whoever gets the lock
   * may remove the place. Closing any channel of a file drops the locks that a process has on it, so a process does
   * not try its own places, which it knows. A place that was cleared away before its owner had the lock is made anew.
   *
   * The folder around may be one where anybody writes, such as that of temporary files. What is cleared away is reached
   * from open folders, step by step and never through a link, so that nobody can lead it elsewhere meanwhile; the lock
   * is opened for reading too, since opening a pipe to write alone would wait for its reader.
   */
  private static final String PREFIX = ".lorikeet-work-";
  private static final String LOCK = "lock";
  private static final int ATTEMPTS = 100;
  private static final Set<Path> OURS = ConcurrentHashMap.newKeySet();

  private final Path folder;
  private final FileChannel lock;

  private Workplace(Path folder, FileChannel lock) {
    this.folder = folder;
    this.lock = lock;
  }

  /**
   * Makes a workplace, and clears away those that nobody works in any more.
   *
   * @param parent the folder in which it is made
   */
  public static Workplace in(Path parent) throws IOException {
    Path around = parent.toAbsolutePath();
    clear(around);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
      Path folder = around.resolve(PREFIX + UUID.randomUUID());
      OURS.add(folder);
      Workplace made = make(folder);
      if (made != null) {
        return made;
      }
      OURS.remove(folder);
    }
    throw new IOException(parent + ": a workplace was cleared away " + ATTEMPTS + " times");
  }

  private static @Nullable Workplace make(Path folder) throws IOException {
    Files.createDirectory(folder, forOne(folder));
    try {
      FileChannel channel =
          FileChannel.open(
              folder.resolve(LOCK), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      if (locked(channel) && Files.exists(folder.resolve(LOCK))) {
        return new Workplace(folder, channel);
      }
      channel.close();
      return null;
    } catch (NoSuchFileException e) {
      return null; // it was empty, and cleared away
    }
  }

  private static FileAttribute<?>[] forOne(Path folder) {
    return folder.getFileSystem().supportedFileAttributeViews().contains("posix")
        ? new FileAttribute<?>[] {
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))
        }
        : new FileAttribute<?>[0];
  }

  private static boolean locked(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false;
    }
  }

  /**
   * Clears away the workplaces that nobody works in any more, for whoever has nothing to make
   * there.
   *
   * @param parent the folder around them
   */
  public static void clear(Path parent) throws IOException {
    List<Path> places = new ArrayList<>();
    try (DirectoryStream<Path> found = Files.newDirectoryStream(parent, PREFIX + "*")) {
      for (Path place : found) {
        if (Files.isDirectory(place, LinkOption.NOFOLLOW_LINKS) && !OURS.contains(place)) {
          places.add(place);
        }
      }
    }
    for (Path place : places) {
      clearIfLeft(parent, place);
    }
  }

  private static void clearIfLeft(Path parent, Path place) {
    Path file = place.resolve(LOCK);
    try (FolderEntries around = FolderEntries.of(parent)) {
      if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
        Files.delete(place); // if it is empty: its owner was killed, or makes another
        return;
      }
      try (FileChannel channel =
          FileChannel.open(
              file, StandardOpenOption.READ, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS)) {
        if (locked(channel)) {
          around.delete(place.getFileName());
        }
      }
    } catch (DirectoryNotEmptyException | NoSuchFileException e) {
      return; // somebody else works there, or cleared it away
    } catch (IOException e) {
      return; // it may not be ours to clear away
    }
  }

  /** Returns where a file or folder of the workplace is, which may not be there yet. */
  public Path path(String name) {
    return folder.resolve(name);
  }

  /** Removes the workplace with all that is still in it. */
  @Override
  public void close() throws IOException {
    try (lock;
        FolderEntries around = FolderEntries.of(Objects.requireNonNull(folder.getParent()))) {
      around.delete(folder.getFileName());
    } finally {
      OURS.remove(folder);
    }
  }
}
