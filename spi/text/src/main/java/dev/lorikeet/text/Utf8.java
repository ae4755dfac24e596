package dev.lorikeet.text;

/*
 * Rust's String::from_utf8_lossy, byte by byte: complete characters as they are, one U+FFFD for
 * every maximal part of an ill-formed sequence (Unicode 16, section 3.9, "substitution of maximal
 * subparts"). Java's own decoder groups some ill-formed sequences differently, so it cannot stand
 * in.
 */

/** Decodes UTF-8 a byte at a time and never gives a character before it is certain. */
final class Utf8 {
  private static final char REPLACEMENT = '\uFFFD';

  private int codePoint;
  private int missing;
  private int lower = 0x80;
  private int upper = 0xBF;
  private boolean sawError;

  /** Returns how many bytes a text is; a surrogate without its partner counts as U+FFFD does. */
  static long length(CharSequence text) {
    long bytes = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c < 0x80) {
        bytes++;
      } else if (c < 0x800) {
        bytes += 2;
      } else if (Character.isHighSurrogate(c)
          && i + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(i + 1))) {
        bytes += 4;
        i++;
      } else {
        bytes += 3;
      }
    }
    return bytes;
  }

  /** Appends what has become certain with one more byte. */
  void decode(byte next, StringBuilder out) {
    int b = next & 0xFF;
    if (missing > 0) {
      if (b >= lower && b <= upper) {
        codePoint = codePoint << 6 | (b & 0x3F);
        lower = 0x80;
        upper = 0xBF;
        missing--;
        if (missing == 0) {
          out.appendCodePoint(codePoint);
        }
        return;
      }
      finish(out);
    }
    begin(b, out);
  }

  private void begin(int b, StringBuilder out) {
    if (b < 0x80) {
      out.append((char) b);
    } else if (b >= 0xC2 && b <= 0xDF) {
      expect(1, b & 0x1F);
    } else if (b >= 0xE0 && b <= 0xEF) {
      expect(2, b & 0x0F);
      lower = b == 0xE0 ? 0xA0 : 0x80; // shorter forms exist below
      upper = b == 0xED ? 0x9F : 0xBF; // surrogates above
    } else if (b >= 0xF0 && b <= 0xF4) {
      expect(3, b & 0x07);
      lower = b == 0xF0 ? 0x90 : 0x80;
      upper = b == 0xF4 ? 0x8F : 0xBF; // beyond U+10FFFF above
    } else {
      sawError = true;
      out.append(REPLACEMENT);
    }
  }

  private void expect(int continuations, int bits) {
    missing = continuations;
    codePoint = bits;
  }

  /** Appends a U+FFFD for a character that was begun and will not be completed. */
  void finish(StringBuilder out) {
    if (missing > 0) {
      sawError = true;
      missing = 0;
      lower = 0x80;
      upper = 0xBF;
      out.append(REPLACEMENT);
    }
  }

  /** Begins anew, at the border of a character. */
  void restart() {
    sawError = false;
  }

  /** Returns whether anything so far was ill-formed. */
  boolean sawError() {
    return sawError;
  }
}
