package dev.lorikeet.text;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.Arrays;

/*
 * The native library cannot be interrupted, takes more than linear time and memory on some texts,
 * and ends the process on others that are very long. So it is given a bounded piece of text at a
 * time. With the expressions that most models divide text by, white space or punctuation behind a
 * letter begins a new part, whatever there is before and after: cut there, the ids of the pieces
 * are those of the whole. (Letters are those of scripts that every version of Unicode in use knows;
 * combining marks, digits and apostrophes behind a letter may belong to it and are no place to
 * cut.) Those that know no parts, as SentencePiece's, write a mark for a blank; where no token has
 * the mark behind a letter, none lies across it, and a text can be cut at a blank between letters.
 * Where encoding puts a mark before a text, the blank itself is left out. Other tokenizers get a
 * text as a whole, or not at all.
 */

/** Divides texts into pieces that can be encoded one by one. */
final class TextPieces {
  private static final int LONGEST = 1 << 13;
  private static final String BEGINNINGS = " \t\n\r.,:;!?)。，、：；！？）";

  private TextPieces() {}

  /** Returns whether a piece may end somewhere within a text. */
  static boolean mayEndIn(String text) {
    for (int i = 1; i < text.length(); i++) {
      if (isWordEnd(text, i)) {
        return true;
      }
    }
    return false;
  }

  private static boolean isWordEnd(String text, int end) {
    return BEGINNINGS.indexOf(text.charAt(end)) >= 0 && isLetter(text.charAt(end - 1));
  }

  private static boolean mayEnd(String text, int end, TextLimits.Cuts cuts) {
    return cuts == TextLimits.Cuts.WORD_ENDS
        ? isWordEnd(text, end)
        : text.charAt(end) == ' '
            && isLetter(text.charAt(end - 1))
            && end + 1 < text.length()
            && isLetter(text.charAt(end + 1));
  }

  /** Returns whether a character is certain to be a letter, whatever the version of Unicode. */
  static boolean isLetter(char c) {
    return (c >= 'a' && c <= 'z')
        || (c >= 'A' && c <= 'Z')
        || (c >= 0x4E00 && c <= 0x9FA5) // ideographs
        || (c >= 0x3041 && c <= 0x3096) // Hiragana
        || (c >= 0x30A1 && c <= 0x30FA) // Katakana
        || (c >= 0xAC00 && c <= 0xD7A3) // Hangul
        || (c >= 0xC0 && c <= 0x52F && Character.isLetter(c)) // Latin, Greek, Cyrillic
        || (c >= 0x5D0 && c <= 0x5EA) // Hebrew
        || (c >= 0x620 && c <= 0x64A) // Arabic
        || (c >= 0x905 && c <= 0x939) // Devanagari
        || (c >= 0xE01 && c <= 0xE30); // Thai
  }

  /**
   * Returns where the pieces of a text end, in order; the last at the end of the text. The next
   * begins there, or behind the blank that is there and to be left out.
   *
   * @throws LorikeetException with {@code INVALID_REQUEST} where there is more in a row than can be
   *     encoded at once
   */
  static int[] ends(String text, TextLimits limits) {
    checkSpace(text, limits.space());
    int longest =
        limits.cuts() == TextLimits.Cuts.NONE
            ? text.length()
            : Math.min(LONGEST, limits.bytesAtOnce() / 3);
    int[] ends = new int[text.length() / Math.max(1, longest) + 2];
    int count = 0;
    int start = 0;
    do {
      int end = end(text, start, longest, limits.cuts());
      long bytes = Utf8.length(text.subSequence(start, end));
      if (bytes > limits.bytesAtOnce()) {
        throw tooLong(bytes, limits);
      }
      if (count == ends.length) {
        ends = Arrays.copyOf(ends, 2 * count);
      }
      ends[count++] = end;
      start = next(end, text, limits);
    } while (start < text.length());
    return Arrays.copyOf(ends, count);
  }

  /** Returns where the piece behind one begins. */
  static int next(int end, String text, TextLimits limits) {
    boolean skips = limits.cuts() == TextLimits.Cuts.WITHOUT_BLANKS && end < text.length();
    return skips ? end + 1 : end;
  }

  /** Returns the last place to cut among some characters, or the first behind them. */
  private static int end(String text, int start, int longest, TextLimits.Cuts cuts) {
    if (text.length() - start <= longest) {
      return text.length();
    }
    int end = start + longest;
    while (end > start && !mayEnd(text, end, cuts)) {
      end--;
    }
    if (end > start) {
      return end;
    }
    end = start + longest + 1;
    while (end < text.length() && !mayEnd(text, end, cuts)) {
      end++;
    }
    return end;
  }

  private static LorikeetException tooLong(long bytes, TextLimits limits) {
    return new LorikeetException(
        Code.INVALID_REQUEST,
        "text: expected at most "
            + limits.bytesAtOnce()
            + (limits.cuts() != TextLimits.Cuts.NONE
                ? " bytes in a row without a word that ends"
                : " bytes, which is what this tokenizer encodes at once")
            + ", found "
            + bytes);
  }

  private static void checkSpace(String text, int most) {
    int run = 0;
    for (int i = 0; i < text.length() && most < Integer.MAX_VALUE; i++) {
      run = isSpace(text.charAt(i)) ? run + 1 : 0;
      if (run > most) {
        throw new LorikeetException(
            Code.INVALID_REQUEST,
            "text: expected at most " + most + " characters of white space in a row, found more");
      }
    }
  }

  /** Returns whether a character is white space, whatever the version of Unicode. */
  static boolean isSpace(char c) {
    return Character.isWhitespace(c) || Character.isSpaceChar(c) || c == '\u0085';
  }
}
