package dev.lorikeet.jlama.text;

import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/*
 * Hugging Face's decoders map a list of tokens to a list of tokens and join what comes out; see
 * tokenizers/src/decoders. Each is written here as a stage that takes one token at a time and
 * passes on only what later tokens cannot change, so that the concatenation of all it passes on is
 * what the decoder makes of the whole list.
 */

/** One decoder of a chain, for one stream of tokens. */
interface DecodeStage {
  /** Takes the next token. */
  void accept(String token, Consumer<String> out);

  /** Passes on what was held back for tokens that might have come. */
  default void finish(Consumer<String> out) {}

  /**
   * {@code ByteLevel}: every character of a token stands for a byte; the bytes of all tokens are
   * UTF-8.
   */
  final class ByteLevel implements DecodeStage {
    private final Utf8 utf8 = new Utf8();

    @Override
    public void accept(String token, Consumer<String> out) {
      StringBuilder text = new StringBuilder();
      for (byte b : bytes(token)) {
        utf8.decode(b, text);
      }
      out.accept(text.toString());
    }

    @Override
    public void finish(Consumer<String> out) {
      StringBuilder text = new StringBuilder();
      utf8.finish(text);
      out.accept(text.toString());
    }

    private static byte[] bytes(String token) {
      byte[] bytes = new byte[token.length()];
      for (int i = 0; i < bytes.length; i++) {
        int b = ByteAlphabet.byteOf(token.charAt(i));
        if (b < 0) { // an added token that was never mapped to bytes
          return token.getBytes(StandardCharsets.UTF_8);
        }
        bytes[i] = (byte) b;
      }
      return bytes;
    }
  }

  /**
   * {@code ByteFallback}: tokens such as {@code <0xE2>} are bytes. A run of them becomes its text
   * where all of it is UTF-8, or as many U+FFFD as it has bytes; so nothing of a run is certain
   * before it ends.
   */
  final class ByteFallback implements DecodeStage {
    private final StringBuilder text = new StringBuilder();
    private Utf8 utf8 = new Utf8();
    private int run;

    @Override
    public void accept(String token, Consumer<String> out) {
      int value = value(token);
      if (value < 0) {
        finish(out);
        out.accept(token);
      } else {
        utf8.decode((byte) value, text);
        run++;
      }
    }

    @Override
    public void finish(Consumer<String> out) {
      if (run == 0) {
        return;
      }
      utf8.finish(text);
      if (utf8.sawError()) {
        for (int i = 0; i < run; i++) {
          out.accept("\uFFFD");
        }
      } else {
        out.accept(text.toString());
      }
      text.setLength(0);
      utf8 = new Utf8();
      run = 0;
    }

    private static int value(String token) {
      if (token.length() != 6 || !token.startsWith("<0x") || token.charAt(5) != '>') {
        return -1;
      }
      int high = Character.digit(token.charAt(3), 16);
      int low = Character.digit(token.charAt(4), 16);
      return high < 0 || low < 0 ? -1 : high << 4 | low;
    }
  }

  /**
   * {@code Metaspace}: a mark stands for a space, but for those of the first token where encoding
   * put one there.
   */
  final class Metaspace implements DecodeStage {
    private final String mark;
    private final boolean prepended;
    private boolean first = true;

    Metaspace(String mark, boolean prepended) {
      this.mark = mark;
      this.prepended = prepended;
    }

    @Override
    public void accept(String token, Consumer<String> out) {
      out.accept(token.replace(mark, first && prepended ? "" : " "));
      first = false;
    }
  }

  /** {@code Replace} with a string for a pattern, in each token by itself. */
  record Replace(String pattern, String content) implements DecodeStage {
    @Override
    public void accept(String token, Consumer<String> out) {
      out.accept(token.replace(pattern, content));
    }
  }

  /** {@code Strip} from the start: of every token, or of the whole text once the tokens are one. */
  final class Strip implements DecodeStage {
    private final char content;
    private final int most;
    private final boolean fused;
    private int left;

    Strip(char content, int most, boolean fused) {
      this.content = content;
      this.most = most;
      this.fused = fused;
      this.left = most;
    }

    @Override
    public void accept(String token, Consumer<String> out) {
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
      out.accept(token.substring(cut));
    }
  }

  /** No decoder at all: tokens with a space between. */
  final class Spaced implements DecodeStage {
    private boolean first = true;

    @Override
    public void accept(String token, Consumer<String> out) {
      out.accept(first ? token : " " + token);
      first = false;
    }
  }

  /** A replacement in the text as a whole, across the borders of what arrives. */
  final class TextReplace implements DecodeStage {
    private final String pattern;
    private final String content;
    private final StringBuilder held = new StringBuilder();

    TextReplace(String pattern, String content) {
      this.pattern = pattern;
      this.content = content;
    }

    @Override
    public void accept(String token, Consumer<String> out) {
      held.append(token);
      StringBuilder text = new StringBuilder();
      int from = 0;
      for (int at = held.indexOf(pattern); at >= 0; at = held.indexOf(pattern, from)) {
        text.append(held, from, at).append(content);
        from = at + pattern.length();
      }
      int certain = Math.max(from, held.length() - pattern.length() + 1);
      while (certain < held.length() && !pattern.startsWith(held.substring(certain))) {
        certain++;
      }
      text.append(held, from, certain);
      held.delete(0, certain);
      out.accept(text.toString());
    }

    @Override
    public void finish(Consumer<String> out) {
      out.accept(held.toString());
      held.setLength(0);
    }
  }
}
