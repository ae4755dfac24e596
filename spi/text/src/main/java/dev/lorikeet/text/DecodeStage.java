package dev.lorikeet.text;

import java.nio.charset.StandardCharsets;

/*
 * Hugging Face's decoders map a list of tokens to a list of tokens and join what comes out; see
 * tokenizers/src/decoders. Each is written here as a stage that takes one token at a time and
 * passes on only what later tokens cannot change, so that the concatenation of all it passes on is
 * what the decoder makes of the whole list. Stages keep buffers, so that a token costs no
 * allocation.
 */

/** One decoder of a chain, for one stream of tokens. */
interface DecodeStage {
  /** Takes the next token; the buffer is the caller's again afterwards. */
  void accept(StringBuilder token);

  /** Passes on what was held back for tokens that might have come, and ends the stages after it. */
  void finish();

  /** The end of a chain: collects the text. */
  record Output(StringBuilder text) implements DecodeStage {
    @Override
    public void accept(StringBuilder token) {
      text.append(token);
    }

    @Override
    public void finish() {}
  }

  /**
   * {@code ByteLevel}: every character of a token stands for a byte; the bytes of all tokens are
   * UTF-8.
   */
  final class ByteLevel implements DecodeStage {
    private final DecodeStage next;
    private final Utf8 utf8 = new Utf8();
    private final StringBuilder text = new StringBuilder();

    ByteLevel(DecodeStage next) {
      this.next = next;
    }

    @Override
    public void accept(StringBuilder token) {
      if (isMapped(token)) {
        for (int i = 0; i < token.length(); i++) {
          utf8.decode((byte) ByteAlphabet.byteOf(token.charAt(i)), text);
        }
      } else {
        for (byte b : token.toString().getBytes(StandardCharsets.UTF_8)) {
          utf8.decode(b, text);
        }
      }
      pass();
    }

    @Override
    public void finish() {
      utf8.finish(text);
      pass();
      next.finish();
    }

    private void pass() {
      next.accept(text);
      text.setLength(0);
    }

    /** Returns false for an added token that was never mapped to bytes. */
    private static boolean isMapped(StringBuilder token) {
      for (int i = 0; i < token.length(); i++) {
        if (ByteAlphabet.byteOf(token.charAt(i)) < 0) {
          return false;
        }
      }
      return true;
    }
  }

  /**
   * {@code ByteFallback}: tokens such as {@code <0xE2>} are bytes. A run of them becomes its text
   * where all of it is UTF-8, or as many U+FFFD as it has bytes; so nothing of a run is certain
   * before it ends.
   */
  final class ByteFallback implements DecodeStage {
    private final DecodeStage next;
    private final StringBuilder text = new StringBuilder();
    private final Utf8 utf8 = new Utf8();
    private int run;

    ByteFallback(DecodeStage next) {
      this.next = next;
    }

    @Override
    public void accept(StringBuilder token) {
      int value = value(token);
      if (value < 0) {
        endRun();
        next.accept(token);
      } else {
        utf8.decode((byte) value, text);
        run++;
      }
    }

    @Override
    public void finish() {
      endRun();
      next.finish();
    }

    private void endRun() {
      if (run == 0) {
        return;
      }
      utf8.finish(text);
      if (utf8.sawError()) {
        text.setLength(0);
        text.append('\uFFFD');
        for (int i = 0; i < run; i++) {
          next.accept(text);
        }
      } else {
        next.accept(text);
      }
      text.setLength(0);
      utf8.restart();
      run = 0;
    }

    private static int value(StringBuilder token) {
      if (token.length() != 6
          || token.charAt(0) != '<'
          || token.charAt(1) != '0'
          || token.charAt(2) != 'x'
          || token.charAt(5) != '>') {
        return -1;
      }
      int high = Character.digit(token.charAt(3), 16);
      int low = Character.digit(token.charAt(4), 16);
      return high < 0 || low < 0 ? -1 : high << 4 | low;
    }
  }

  /** {@code Replace} with a string for a pattern, in each token by itself. */
  final class Replace implements DecodeStage {
    private final DecodeStage next;
    private final String pattern;
    private final String content;
    private final StringBuilder text = new StringBuilder();

    Replace(String pattern, String content, DecodeStage next) {
      this.next = next;
      this.pattern = pattern;
      this.content = content;
    }

    @Override
    public void accept(StringBuilder token) {
      replace(token, pattern, content, text);
      next.accept(text);
      text.setLength(0);
    }

    @Override
    public void finish() {
      next.finish();
    }
  }

  /**
   * Appends a text with every occurrence of a pattern, from the left, replaced.
   *
   * @return how much of the text lies before the end of the last occurrence
   */
  private static int replaceUntilLast(
      StringBuilder text, String pattern, String content, StringBuilder out) {
    int from = 0;
    for (int at = text.indexOf(pattern); at >= 0; at = text.indexOf(pattern, from)) {
      out.append(text, from, at).append(content);
      from = at + pattern.length();
    }
    return from;
  }

  private static void replace(
      StringBuilder text, String pattern, String content, StringBuilder out) {
    int from = replaceUntilLast(text, pattern, content, out);
    out.append(text, from, text.length());
  }

  /**
   * {@code Metaspace}: a mark stands for a space, but for those of the first token where encoding
   * put one there.
   */
  final class Metaspace implements DecodeStage {
    private final DecodeStage next;
    private final String mark;
    private final boolean prepended;
    private final StringBuilder text = new StringBuilder();
    private boolean first = true;

    Metaspace(String mark, boolean prepended, DecodeStage next) {
      this.next = next;
      this.mark = mark;
      this.prepended = prepended;
    }

    @Override
    public void accept(StringBuilder token) {
      replace(token, mark, first && prepended ? "" : " ", text);
      first = false;
      next.accept(text);
      text.setLength(0);
    }

    @Override
    public void finish() {
      next.finish();
    }
  }

  /** {@code Strip} from the start: of every token, or of the whole text once the tokens are one. */
  final class Strip implements DecodeStage {
    private final DecodeStage next;
    private final char content;
    private final int most;
    private final boolean fused;
    private final StringBuilder text = new StringBuilder();
    private int left;

    Strip(char content, int most, boolean fused, DecodeStage next) {
      this.next = next;
      this.content = content;
      this.most = most;
      this.fused = fused;
      this.left = most;
    }

    @Override
    public void accept(StringBuilder token) {
      if (!fused) {
        left = most;
      }
      int cut = 0;
      while (left > 0 && cut < token.length()) {
        if (token.charAt(cut) == content) {
          cut++;
          left--;
        } else {
          left = 0;
        }
      }
      next.accept(text.append(token, cut, token.length()));
      text.setLength(0);
    }

    @Override
    public void finish() {
      next.finish();
    }
  }

  /** No decoder at all: tokens with a space between. */
  final class Spaced implements DecodeStage {
    private final DecodeStage next;
    private final StringBuilder text = new StringBuilder();

    Spaced(DecodeStage next) {
      this.next = next;
    }

    @Override
    public void accept(StringBuilder token) {
      next.accept(text.append(token));
      text.setLength(0);
      text.append(' ');
    }

    @Override
    public void finish() {
      next.finish();
    }
  }

  /** A replacement in the text as a whole, across the borders of what arrives. */
  final class TextReplace implements DecodeStage {
    private final DecodeStage next;
    private final String pattern;
    private final String content;
    private final StringBuilder held = new StringBuilder();
    private final StringBuilder text = new StringBuilder();

    TextReplace(String pattern, String content, DecodeStage next) {
      this.next = next;
      this.pattern = pattern;
      this.content = content;
    }

    @Override
    public void accept(StringBuilder token) {
      held.append(token);
      int from = replaceUntilLast(held, pattern, content, text);
      int certain = Math.max(from, held.length() - pattern.length() + 1);
      while (certain < held.length() && !mayBegin(certain)) {
        certain++;
      }
      text.append(held, from, certain);
      held.delete(0, certain);
      next.accept(text);
      text.setLength(0);
    }

    /** Returns whether the pattern begins with what is held from a place on. */
    private boolean mayBegin(int from) {
      for (int i = from; i < held.length(); i++) {
        if (held.charAt(i) != pattern.charAt(i - from)) {
          return false;
        }
      }
      return true;
    }

    @Override
    public void finish() {
      next.accept(held);
      held.setLength(0);
      next.finish();
    }
  }
}
