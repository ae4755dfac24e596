package dev.lorikeet.files;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;

/** The errors of files: where, what was expected, what was found. */
public final class Faults {
  private static final int LONGEST_QUOTE = 80;

  private Faults() {}

  /** The files are damaged, hostile or incomplete. */
  public static LorikeetException invalid(Object where, String expected, Object found) {
    return new LorikeetException(Code.MODEL_INVALID, message(where, expected, found));
  }

  /** The files are damaged, hostile or incomplete; with the failure behind it. */
  public static LorikeetException invalid(
      Object where, String expected, Object found, Throwable cause) {
    return new LorikeetException(Code.MODEL_INVALID, message(where, expected, found), cause);
  }

  /** The files are sound, but ask for something that this plugin does not have. */
  public static LorikeetException unsupported(Object where, String expected, Object found) {
    return new LorikeetException(Code.MODEL_UNSUPPORTED, message(where, expected, found));
  }

  private static String message(Object where, String expected, Object found) {
    return where + ": expected " + expected + ", found " + shorten(found.toString());
  }

  /** Cuts what an untrusted file says down to what fits a message. */
  public static String shorten(String text) {
    return text.length() <= LONGEST_QUOTE ? text : text.substring(0, LONGEST_QUOTE) + "…";
  }
}
