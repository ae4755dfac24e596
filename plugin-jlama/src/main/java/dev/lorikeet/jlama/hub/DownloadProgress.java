package dev.lorikeet.jlama.hub;

import java.nio.file.Path;

/**
 * Is told how downloads go, on the thread that asked for them. A reporter written for Jlama fits as
 * {@code reporter::update}.
 */
@FunctionalInterface
public interface DownloadProgress {
  /** Nobody listens. */
  DownloadProgress NONE = (file, done, size) -> {};

  /**
   * Some bytes of a file have come, or were here before.
   *
   * @param file the file's name
   * @param done how many of its bytes are here
   * @param size how many it has
   */
  void update(String file, long done, long size);

  /**
   * A download begins or goes on.
   *
   * @param name what comes
   * @param directory where it goes
   * @param files how many files it has
   * @param bytes how many bytes they have
   */
  default void begin(ModelName name, Path directory, int files, long bytes) {}

  /**
   * The download stands still for a while: another process is at the same, or a request has failed
   * and will be made again.
   *
   * @param reason a sentence for people
   */
  default void waiting(String reason) {}
}
