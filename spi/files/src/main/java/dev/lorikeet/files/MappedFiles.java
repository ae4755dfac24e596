package dev.lorikeet.files;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.LongSupplier;

/**
 * Watches files that are mapped into memory, so that whoever reads them learns that somebody has
 * changed them in place. Safe for any number of threads.
 */
public final class MappedFiles {
  /*
   * Idea: a mapping shows what is written into its file, and reading where the file was cut ends the JVM with a signal.
   * Whoever overwrites a file changes its size or its time; a look at both before each use finds what was done in the
   * meantime. It cannot find what happens between the look and the use, so it is no protection, but it tells the
   * common mistake from a defect: a new version copied over the files of a model that is being served.
   *
   * A file that another was renamed to, or that was deleted, keeps its content under the mapping: what has another
   * identity, or is gone, has not changed.
   *
   * Cost: two calls of the operating system for each file, one to two microseconds together, without allocation:
   * decoders count on that. Only what has changed is asked for its identity.
   */
  private static final long NANOS_BETWEEN_LOOKS = 10_000_000;

  private final Faults faults;
  private final List<Watched> files;
  private final LongSupplier clock;
  private volatile long lastLook;

  /** A file as it was: {@code asFile} is its real path, which gives size and time for less. */
  private record Watched(
      Path file, File asFile, Object key, long size, long modified, AtomicBoolean gone) {

    boolean isUnchanged() {
      return asFile.length() == size && asFile.lastModified() == modified;
    }
  }

  private MappedFiles(Faults faults, List<Watched> files, LongSupplier clock) {
    this.faults = faults;
    this.files = List.copyOf(files);
    this.clock = clock;
    this.lastLook = clock.getAsLong() - NANOS_BETWEEN_LOOKS;
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
        Path real = file.toRealPath();
        File asFile = real.toFile();
        long modified = asFile.lastModified();
        long size = asFile.length();
        watched.add(new Watched(file, asFile, key(asFile), size, modified, new AtomicBoolean()));
      } catch (IOException e) {
        throw faults.invalid(file, "a readable file", e, e);
      }
    }
    return new MappedFiles(faults, watched, clock);
  }

  private static Object key(File file) throws IOException {
    Path real = file.toPath();
    var attributes =
        Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    return Optional.ofNullable(attributes.fileKey()).orElse(real);
  }

  /**
   * Looks at the files.
   *
   * @throws dev.lorikeet.LorikeetException if one of them was changed in place
   */
  public void check() {
    for (int i = 0; i < files.size(); i++) {
      check(files.get(i));
    }
  }

  /** Looks at the files, unless that was done in the last 10 ms. */
  public void checkNowAndThen() {
    long now = clock.getAsLong();
    if (now - lastLook >= NANOS_BETWEEN_LOOKS) {
      check();
      lastLook = now; // not before: what has changed is an error every time
    }
  }

  private void check(Watched file) {
    if (file.gone().get() || file.isUnchanged()) {
      return;
    }
    if (!isThere(file)) {
      file.gone().set(true);
      return;
    }
    throw faults.invalid(
        file.file(),
        "the file as it was mapped, of "
            + file.size()
            + " bytes and changed last at "
            + Instant.ofEpochMilli(file.modified())
            + (faults == Faults.MODEL
                ? " (replace files by renaming, or open with weights=copied)"
                : " (replace files by renaming)"),
        file.asFile().length()
            + " bytes, changed at "
            + Instant.ofEpochMilli(file.asFile().lastModified()));
  }

  private static boolean isThere(Watched file) {
    try {
      return key(file.asFile()).equals(file.key());
    } catch (IOException e) {
      return false;
    }
  }
}
