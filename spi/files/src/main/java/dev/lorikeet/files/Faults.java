package dev.lorikeet.files;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.nio.channels.ClosedByInterruptException;

/**
 * Makes the errors of files: where, what was expected, what was found. Whatever comes from a file
 * is made printable and cut to what fits a message.
 */
public enum Faults {
  /** Of a base model's files, or of what belongs to it, such as a tokenizer or a router. */
  MODEL(Code.MODEL_INVALID, Code.MODEL_UNSUPPORTED),
  /** Of an adapter's files. */
  ADAPTER(Code.ADAPTER_INVALID, Code.ADAPTER_UNSUPPORTED),
  /** Of examples to learn from. */
  DATA(Code.DATA_INVALID, Code.DATA_INVALID),
  /** Of what says what is to be done, such as a list of tasks. */
  CONFIG(Code.INVALID_CONFIG, Code.INVALID_CONFIG);

  private static final int LONGEST_PLACE = 500;
  private static final int LONGEST_QUOTE = 200;

  private final Code invalid;
  private final Code unsupported;

  Faults(Code invalid, Code unsupported) {
    this.invalid = invalid;
    this.unsupported = unsupported;
  }

  /** The files are damaged, hostile or incomplete. */
  public LorikeetException invalid(Object where, String expected, Object found) {
    return refuse(where, sentence(expected, found));
  }

  /** The files are damaged, hostile or incomplete; with the failure behind it. */
  public LorikeetException invalid(Object where, String expected, Object found, Throwable cause) {
    return refuse(where, sentence(expected, found), cause);
  }

  /** The files are sound, but ask for something that is not there. */
  public LorikeetException unsupported(Object where, String expected, Object found) {
    return refuseUnsupported(where, sentence(expected, found));
  }

  /** As {@link #invalid}, in words of the caller's, which {@link #show} what is untrusted. */
  public LorikeetException refuse(Object where, String sentence) {
    return new LorikeetException(invalid, message(where, sentence));
  }

  /**
   * As {@link #invalid}, in words of the caller's, with the failure behind it; {@code CANCELLED} if
   * that is an interruption of the thread, of which the files are innocent.
   */
  public LorikeetException refuse(Object where, String sentence, Throwable cause) {
    if (cause instanceof ClosedByInterruptException) {
      return new LorikeetException(
          Code.CANCELLED, message(where, "interrupted while it was read"), cause);
    }
    return new LorikeetException(invalid, message(where, sentence), cause);
  }

  /** As {@link #unsupported}, in words of the caller's. */
  public LorikeetException refuseUnsupported(Object where, String sentence) {
    return new LorikeetException(unsupported, message(where, sentence));
  }

  /** As {@link #unsupported}, in words of the caller's, with the failure behind it. */
  public LorikeetException refuseUnsupported(Object where, String sentence, Throwable cause) {
    return new LorikeetException(unsupported, message(where, sentence), cause);
  }

  private static String message(Object where, String sentence) {
    return printable(where.toString(), LONGEST_PLACE) + ": " + sentence;
  }

  private static String sentence(String expected, Object found) {
    return "expected " + expected + ", found " + show(found.toString());
  }

  /** Returns untrusted text fit for a message: printable, and not long. */
  public static String show(String untrusted) {
    return printable(untrusted, LONGEST_QUOTE);
  }

  private static String printable(String untrusted, int most) {
    StringBuilder shown = new StringBuilder();
    untrusted
        .codePoints()
        .limit(most)
        .forEach(
            c ->
                shown.appendCodePoint(
                    Character.isISOControl(c)
                            || Character.getType(c) == Character.FORMAT
                            || Character.getType(c) == Character.SURROGATE
                        ? '?'
                        : c));
    return untrusted.codePointCount(0, untrusted.length()) > most
        ? shown.append("...").toString()
        : shown.toString();
  }
}
