package dev.lorikeet.text.jinja;

/** A text in the making, counted as it grows. */
final class TextWriter {
  private final Limits limits = Limits.current();
  private final StringBuilder text = new StringBuilder();

  int length() {
    return text.length();
  }

  TextWriter append(String more) {
    return append(more, 0, more.length());
  }

  TextWriter append(String source, int from, int to) {
    grow(to - from);
    text.append(source, from, to);
    return this;
  }

  TextWriter append(char c) {
    grow(1);
    text.append(c);
    return this;
  }

  TextWriter appendCodePoint(int c) {
    grow(Character.charCount(c));
    text.appendCodePoint(c);
    return this;
  }

  /** Appends the last digits of a number in hexadecimal. */
  TextWriter appendHexadecimal(int number, int digits) {
    for (int i = digits - 1; i >= 0; i--) {
      append(Character.forDigit((number >> (4 * i)) & 0xF, 16));
    }
    return this;
  }

  /** Twice: what is written is copied when it ends. */
  private void grow(int characters) {
    Limits.checkLength((long) text.length() + characters);
    limits.addSize(2L * characters);
    limits.addWork(2L * characters);
  }

  @Override
  public String toString() {
    return text.toString();
  }
}
