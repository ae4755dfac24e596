package dev.lorikeet.arrow;

import dev.lorikeet.LorikeetException;
import java.nio.file.Path;

/** Makes the errors of this package: where, what was expected, what was found. */
final class Refusal {
  private static final int SHOWN = 200;

  private Refusal() {}

  /** The files are damaged, hostile or do not fit the model. */
  static LorikeetException invalid(Path file, String message) {
    return new LorikeetException(
        LorikeetException.Code.ADAPTER_INVALID, show(file.toString()) + ": " + message);
  }

  /** The same, with the failure behind it. */
  static LorikeetException invalid(Path file, String message, Throwable cause) {
    return new LorikeetException(
        LorikeetException.Code.ADAPTER_INVALID, show(file.toString()) + ": " + message, cause);
  }

  /** The adapter uses something that is not supported. */
  static LorikeetException unsupported(Path file, String message) {
    return new LorikeetException(
        LorikeetException.Code.ADAPTER_UNSUPPORTED, show(file.toString()) + ": " + message);
  }

  /** Returns untrusted text fit for a message: printable, and not long. */
  static String show(String untrusted) {
    StringBuilder shown = new StringBuilder();
    untrusted
        .codePoints()
        .limit(SHOWN)
        .forEach(
            c ->
                shown.appendCodePoint(
                    Character.isISOControl(c)
                            || Character.getType(c) == Character.FORMAT
                            || Character.getType(c) == Character.SURROGATE
                        ? '?'
                        : c));
    return untrusted.codePointCount(0, untrusted.length()) > SHOWN
        ? shown.append("...").toString()
        : shown.toString();
  }
}
