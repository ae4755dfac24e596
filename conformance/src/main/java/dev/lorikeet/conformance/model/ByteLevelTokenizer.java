package dev.lorikeet.conformance.model;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A byte-level BPE tokenizer of 256 bytes, two special tokens and a few merges: its {@code
 * tokenizer.json}, and an encoder and a decoder of the suite's own to compare with.
 */
final class ByteLevelTokenizer {
  static final int BOS = 0;
  static final int EOS = 1;

  private static final Pattern PIECES =
      Pattern.compile(
          "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
          Pattern.UNICODE_CHARACTER_CLASS);

  /** Pairs in the order of their rank; a pair's parts are bytes or results of earlier pairs. */
  private static final List<List<String>> MERGES =
      List.of(
          List.of("t", "h"),
          List.of("th", "e"),
          List.of(" ", "the"),
          List.of("i", "n"),
          List.of("e", "r"),
          List.of(" ", "a"),
          List.of("o", "n"),
          List.of("in", "g"),
          List.of("l", "l"),
          List.of("e", "ll"),
          List.of("h", "ell"),
          List.of("hell", "o"),
          List.of("Ã", "¼"),
          List.of("Ã", "¤"));

  private final char[] letters = letters();
  private final List<byte[]> tokens = new ArrayList<>();
  private final Map<String, Integer> ids = new LinkedHashMap<>();
  private final Map<List<String>, Integer> ranks = new HashMap<>();

  ByteLevelTokenizer() {
    tokens.add(new byte[0]);
    tokens.add(new byte[0]);
    for (int b = 0; b < 256; b++) {
      add(new byte[] {(byte) b});
    }
    for (List<String> pair : MERGES) {
      byte[] left = latin(pair.get(0));
      byte[] right = latin(pair.get(1));
      ranks.put(List.of(letters(left), letters(right)), ranks.size());
      byte[] joined = new byte[left.length + right.length];
      System.arraycopy(left, 0, joined, 0, left.length);
      System.arraycopy(right, 0, joined, left.length, right.length);
      add(joined);
    }
  }

  private void add(byte[] bytes) {
    ids.put(letters(bytes), tokens.size());
    tokens.add(bytes);
  }

  private static byte[] latin(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  /** Returns the printable letter that stands for each byte, as GPT-2 chose them. */
  private static char[] letters() {
    char[] letters = new char[256];
    char spare = 256;
    for (int b = 0; b < 256; b++) {
      boolean printable = (b > 32 && b < 127) || (b > 160 && b != 173);
      letters[b] = printable ? (char) b : spare++;
    }
    return letters;
  }

  private String letters(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    for (byte b : bytes) {
      text.append(letters[b & 0xFF]);
    }
    return text.toString();
  }

  /** Returns the number of token ids. */
  int size() {
    return tokens.size();
  }

  /** Returns whether a token is text of one-byte characters that can be seen. */
  boolean isAscii(int id) {
    byte[] bytes = tokens.get(id);
    for (byte b : bytes) {
      if (b < 32 || b == 127) {
        return false;
      }
    }
    return bytes.length > 0;
  }

  List<Integer> encode(String text) {
    List<Integer> encoded = new ArrayList<>();
    Matcher pieces = PIECES.matcher(text);
    while (pieces.find()) {
      List<String> parts = new ArrayList<>();
      for (byte b : pieces.group().getBytes(StandardCharsets.UTF_8)) {
        parts.add(letters(new byte[] {b}));
      }
      merge(parts);
      parts.forEach(part -> encoded.add(ids.getOrDefault(part, -1)));
    }
    return encoded;
  }

  private void merge(List<String> parts) {
    while (true) {
      int best = Integer.MAX_VALUE;
      int at = -1;
      for (int i = 0; i + 1 < parts.size(); i++) {
        int rank = ranks.getOrDefault(List.of(parts.get(i), parts.get(i + 1)), Integer.MAX_VALUE);
        if (rank < best) {
          best = rank;
          at = i;
        }
      }
      if (at < 0) {
        return;
      }
      parts.set(at, parts.get(at) + parts.remove(at + 1));
    }
  }

  /** Returns the text of tokens without special ones; bytes that are no UTF-8 become U+FFFD. */
  String decode(List<Integer> encoded) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    encoded.forEach(id -> bytes.writeBytes(tokens.get(id)));
    return utf8(bytes.toByteArray());
  }

  /** Returns the bytes of a token; none for special ones. */
  byte[] bytes(int id) {
    return tokens.get(id).clone();
  }

  /** Decodes UTF-8 with one U+FFFD for each longest beginning of a character that is cut off. */
  static String utf8(byte[] bytes) {
    StringBuilder text = new StringBuilder();
    int at = 0;
    while (at < bytes.length) {
      int length = length(bytes[at] & 0xFF);
      int valid = 1;
      while (valid < length && at + valid < bytes.length && continues(bytes, at, valid)) {
        valid++;
      }
      text.append(
          length > 0 && valid == length
              ? new String(bytes, at, length, StandardCharsets.UTF_8)
              : "\uFFFD");
      at += valid;
    }
    return text.toString();
  }

  private static int length(int lead) {
    if (lead < 0x80) {
      return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
      return 0;
    }
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  }

  private static boolean continues(byte[] bytes, int at, int index) {
    int lead = bytes[at] & 0xFF;
    int next = bytes[at + index] & 0xFF;
    int least = index == 1 && lead == 0xE0 ? 0xA0 : index == 1 && lead == 0xF0 ? 0x90 : 0x80;
    int most = index == 1 && lead == 0xED ? 0x9F : index == 1 && lead == 0xF4 ? 0x8F : 0xBF;
    return next >= least && next <= most;
  }

  /** Returns the content of {@code tokenizer.json}. */
  Map<String, Object> json() {
    Map<String, Object> level =
        Map.of(
            "type",
            "ByteLevel",
            "add_prefix_space",
            false,
            "trim_offsets",
            true,
            "use_regex",
            true);
    Map<String, Object> vocabulary = new LinkedHashMap<>();
    vocabulary.put("<s>", BOS);
    vocabulary.put("</s>", EOS);
    vocabulary.putAll(ids);
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("dropout", null);
    model.put("unk_token", null);
    model.put("continuing_subword_prefix", null);
    model.put("end_of_word_suffix", null);
    model.put("fuse_unk", false);
    model.put("byte_fallback", false);
    model.put("vocab", vocabulary);
    model.put(
        "merges",
        MERGES.stream()
            .map(pair -> letters(latin(pair.get(0))) + " " + letters(latin(pair.get(1))))
            .toList());
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", "1.0");
    json.put("truncation", null);
    json.put("padding", null);
    json.put("added_tokens", List.of(special(BOS, "<s>"), special(EOS, "</s>")));
    json.put("normalizer", null);
    json.put("pre_tokenizer", level);
    json.put("post_processor", level);
    json.put("decoder", level);
    json.put("model", model);
    return json;
  }

  private static Map<String, Object> special(int id, String content) {
    Map<String, Object> token = new LinkedHashMap<>();
    token.put("id", id);
    token.put("content", content);
    for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
      token.put(flag, false);
    }
    token.put("special", true);
    return token;
  }
}
