package dev.lorikeet.files;

import dev.lorikeet.LorikeetException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * Watches files that are mapped into memory, so that whoever reads them learns that somebody has
 * changed them in place. Safe for any number of threads; holds the files open until it is closed.
 */
public final class MappedFiles implements AutoCloseable {
  /*
   * Idea: a mapping shows what is written into its file, and reading where the file was cut ends the JVM with a signal.
   * Whoever overwrites a file changes its size or its time; a look at both before each use finds what was done in the
   * meantime. It cannot find what happens between the look and the use, so it is no protection, but it tells the
   * common mistake from a defect: a new version copied over the files of a model that is being served.
   *
   * A file that another was renamed to, or that was deleted, keeps its content under the mapping. So the size is asked
   * of the open file, whatever its name leads to by now, and the time counts only while the name leads to the same one.
   *
   * Cost: the size is one call of the operating system for each file and allocates nothing, so it is looked at every
   * time; the time costs some more and some hundred bytes, and is looked at every 100 ms.
   */
  private static final long NANOS_BETWEEN_TIMES = 100_000_000;

  private final Faults faults;
  private final List<Watched> files;
  private final LongSupplier clock;
  private volatile long lastTimes;

  private record Watched(
      Path file, Path real, RandomAccessFile open, long size, Object key, FileTime modified) {}

  private MappedFiles(Faults faults, List<Watched> files, LongSupplier clock) {
    this.faults = faults;
    this.files = List.copyOf(files);
    this.clock = clock;
    this.lastTimes = clock.getAsLong() - NANOS_BETWEEN_TIMES;
  }

  /** Returns a watch over no files. */
  public static MappedFiles none() {
    return new MappedFiles(Faults.MODEL, List.of(), () -> 0);
  }

  /**
   * Notes how files are; to be called when they have just been mapped.
   *
   * @param faults whose files they are
   */
  public static MappedFiles watch(Faults faults, Collection<Path> files) {
    return watch(faults, files, System::nanoTime);
  }

  static MappedFiles watch(Faults faults, Collection<Path> files, LongSupplier clock) {
    List<Watched> watched = new ArrayList<>();
    for (Path file : files) {
      try {
        watched.add(watched(file));
      } catch (IOException e) {
        watched.forEach(MappedFiles::close);
        throw faults.invalid(file, "a readable file", e, e);
      }
    }
    return new MappedFiles(faults, watched, clock);
  }

  private static Watched watched(Path file) throws IOException {
    Path real = file.toRealPath();
    BasicFileAttributes found = attributes(real);
    RandomAccessFile open = new RandomAccessFile(real.toFile(), "r");
    return new Watched(file, real, open, found.size(), key(real, found), found.lastModifiedTime());
  }

  private static BasicFileAttributes attributes(Path real) throws IOException {
    return Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
  }

  private static Object key(Path real, BasicFileAttributes attributes) {
    return Optional.ofNullable(attributes.fileKey()).orElse(real);
  }

  /**
   * Looks at the files: at their sizes always, at their times unless that was done in the last 100
   * ms.
   *
   * @throws dev.lorikeet.LorikeetException if one of them was changed in place
   */
  public void check() {
    if (!checkWhenDue()) {
      for (int i = 0; i < files.size(); i++) {
        checkSize(files.get(i));
      }
    }
  }

  /** Looks at sizes and times alike, unless that was done in the last 100 ms. */
  public void checkNowAndThen() {
    checkWhenDue();
  }

  private boolean checkWhenDue() {
    if (files.isEmpty()) {
      return true;
    }
    long now = clock.getAsLong();
    if (now - lastTimes < NANOS_BETWEEN_TIMES) {
      return false;
    }
    for (Watched file : files) {
      checkSize(file);
      checkTime(file);
    }
    lastTimes = now; // not before: what has changed is an error every time
    return true;
  }

  private void checkSize(Watched file) {
    long size;
    try {
      size = file.open().length();
    } catch (IOException e) {
      throw faults.invalid(file.file(), "a file whose size can be told", e, e);
    }
    if (size != file.size()) {
      throw changed(file, size + " bytes");
    }
  }

  private void checkTime(Watched file) {
    BasicFileAttributes found;
    try {
      found = attributes(file.real());
    } catch (IOException gone) {
      return;
    }
    if (!found.lastModifiedTime().equals(file.modified())
        && key(file.real(), found).equals(file.key())) {
      throw changed(file, found.size() + " bytes, changed at " + found.lastModifiedTime());
    }
  }

  private LorikeetException changed(Watched file, String found) {
    return faults.invalid(
        file.file(),
        "the file as it was mapped, of "
            + file.size()
            + " bytes and changed last at "
            + file.modified()
            + (faults == Faults.MODEL
                ? " (replace files by renaming, or open with weights=copied)"
                : " (replace files by renaming)"),
        found);
  }

  private static void close(Watched file) {
    try {
      file.open().close();
    } catch (IOException e) {
      return; // nothing was written to it
    }
  }

  /** Lets the files go. Idempotent. */
  @Override
  public void close() {
    files.forEach(MappedFiles::close);
  }
}
