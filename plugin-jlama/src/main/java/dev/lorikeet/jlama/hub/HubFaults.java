package dev.lorikeet.jlama.hub;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.net.URI;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.Optional;

/** The errors of downloads that are not about what was downloaded. */
final class HubFaults {
  private HubFaults() {}

  static LorikeetException failed(String message) {
    return new LorikeetException(Code.DOWNLOAD_FAILED, message);
  }

  static LorikeetException failed(String message, Throwable cause) {
    return new LorikeetException(Code.DOWNLOAD_FAILED, message, cause);
  }

  static LorikeetException notFound(String message) {
    return new LorikeetException(Code.MODEL_NOT_FOUND, message);
  }

  static LorikeetException cancelled(Object what) {
    Thread.currentThread().interrupt();
    return new LorikeetException(Code.CANCELLED, what + ": interrupted; the next call goes on");
  }

  /** A file cannot be written: a full disk above all. */
  static LorikeetException disk(Path file, IOException e) {
    if (Thread.currentThread().isInterrupted()) {
      return cancelled(file);
    }
    boolean full = LorikeetException.ofFiles("writing " + file, e).code() == Code.STORAGE_FULL;
    return new LorikeetException(
        full ? Code.STORAGE_FULL : Code.DOWNLOAD_FAILED,
        file + ": expected room for it and leave to write it, found: " + reason(e),
        e);
  }

  private static String reason(IOException e) {
    return e instanceof FileSystemException refused
        ? Optional.ofNullable(refused.getReason()).orElse(e.getClass().getSimpleName())
        : Optional.ofNullable(e.getMessage()).orElse(e.getClass().getSimpleName());
  }

  /** Returns a URL without its query, which may hold a signature. */
  static String shown(URI url) {
    String text = url.toString();
    int query = text.indexOf('?');
    return query < 0 ? text : text.substring(0, query);
  }
}
