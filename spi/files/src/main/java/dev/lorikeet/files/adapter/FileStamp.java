package dev.lorikeet.files.adapter;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;

/**
 * What tells the content of a file from others without reading it; equal for hard links. It can be
 * forged, so it may spare work but never a check that safety rests on.
 *
 * @param key the file system's identity of the file, or its real path where there is none
 * @param size the size in bytes
 * @param modified when the content last changed
 */
public record FileStamp(Object key, long size, FileTime modified) {
  private static final Duration SETTLED = Duration.ofSeconds(10);

  /** Returns the stamp of a file by its real path. */
  public static FileStamp of(Path real) throws IOException {
    var attributes =
        Files.readAttributes(real, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
    Object key = attributes.fileKey();
    return new FileStamp(
        key == null ? real : key, attributes.size(), attributes.lastModifiedTime());
  }

  /**
   * Returns whether the last change is so long ago that a further one would show, as clocks of file
   * systems are coarse.
   */
  public boolean isSettled() {
    return modified.toInstant().isBefore(Instant.now().minus(SETTLED));
  }
}
