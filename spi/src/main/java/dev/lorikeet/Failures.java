package dev.lorikeet;

import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Objects;
import java.util.function.Supplier;

/** Turns what plugins throw into what applications are told. */
final class Failures {
  private Failures() {}

  /**
   * Opens something of a plugin.
   *
   * @param doing what is being done, as messages say it
   * @throws LorikeetException whatever the plugin throws, but for errors of the JVM
   */
  static <T> T told(String doing, Supplier<T> open) {
    try {
      return open.get();
    } catch (IllegalArgumentException e) {
      // The contracts' word for settings that are unknown or out of range; the message names them.
      throw new LorikeetException(Code.INVALID_CONFIG, String.valueOf(e.getMessage()), e);
    } catch (Exception e) { // checked ones as well, which other languages do not declare
      throw of(doing, e);
    }
  }

  /** Returns the failure of a call of a plugin. */
  static LorikeetException of(String doing, Exception e) {
    return switch (e) {
      case LorikeetException known -> known;
      case UncheckedIOException unchecked ->
          LorikeetException.ofFiles(doing, Objects.requireNonNull(unchecked.getCause()));
      case IOException files -> LorikeetException.ofFiles(doing, files);
      default -> new LorikeetException(Code.INTERNAL, doing + " failed: " + e, e);
    };
  }
}
