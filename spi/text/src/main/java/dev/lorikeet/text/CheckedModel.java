package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lorikeet.files.JsonFile;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The model of a tokenizer file: the vocabulary and how it is used. What the native library is
 * given is made anew from what was checked here, but for vocabulary and merges, the shape of which
 * it checks itself.
 *
 * @param json the description for the native library
 * @param longestToken the most UTF-8 bytes of a token
 * @param longestMapped the most bytes of a token whose characters stand for bytes
 * @param complete whether every text has tokens of its own: none is left out, and none stands for
 *     unknown text
 * @param wordsApart whether no token has the mark for a blank behind a letter, and merges alone
 *     decide how a text is divided
 * @param work how many times longer a byte may take than with a usual vocabulary, 1 or more
 */
record CheckedModel(
    ObjectNode json,
    long longestToken,
    long longestMapped,
    boolean complete,
    boolean wordsApart,
    double work) {
  /** What SentencePiece writes for a blank. */
  static final String MARK = "▁";

  private static final String KNOWN = "BPE, Unigram, WordLevel or WordPiece";
  private static final int LONGEST_TOKEN = 1024;
  private static final int LONGEST_AFFIX = 16;
  private static final int LONGEST_WORD = 400;
  private static final int USUAL_WORD = 50;
  private static final int BYTES = 256;

  /** How many bytes the pieces of usual vocabularies make a step read: 32 of up to 64. */
  private static final double USUAL_PIECES = 32 * 64;

  /**
   * Checks a model.
   *
   * @param bytes whether every character of a token stands for a byte
   */
  static CheckedModel check(JsonFile file, boolean bytes) {
    String type = file.text("type").orElseGet(() -> typeOf(file));
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("type", type);
    return switch (type) {
      case "BPE" -> bpe(file, json, bytes);
      case "Unigram" -> unigram(file, json);
      case "WordLevel" -> wordLevel(file, json);
      case "WordPiece" -> wordPiece(file, json);
      default -> throw file.unsupported("type", type, KNOWN);
    };
  }

  /** Old files do not name the type. */
  private static String typeOf(JsonFile file) {
    if (file.has("merges")) {
      return "BPE";
    }
    if (file.node("vocab").filter(JsonNode::isArray).isPresent()) {
      return "Unigram";
    }
    return file.has("max_input_chars_per_word") ? "WordPiece" : "WordLevel";
  }

  private static CheckedModel bpe(JsonFile file, ObjectNode json, boolean bytes) {
    JsonNode vocabulary = vocabulary(file, false);
    if (file.optionalNumber("dropout", 0, 1).orElse(0) != 0) {
      throw file.unsupported("dropout", file.number("dropout", 0, 1), "none");
    }
    Optional<String> prefix = affix(file, "continuing_subword_prefix");
    Optional<String> suffix = affix(file, "end_of_word_suffix");
    boolean fallback = file.bool("byte_fallback", false);
    if (fallback && (prefix.isPresent() || suffix.isPresent())) {
      throw file.unsupported("byte_fallback", true, "no prefix and no suffix beside it");
    }
    boolean complete =
        prefix.isEmpty()
            && suffix.isEmpty()
            && (bytes && hasAlphabet(vocabulary) || fallback && hasBytes(vocabulary));
    Optional<String> unknown = file.text("unk_token");
    if (unknown.isPresent() && !vocabulary.has(unknown.get()) && !complete) {
      throw file.wrong("unk_token", TextNode.valueOf(unknown.get()), "a token of the vocabulary");
    }
    JsonNode merges = file.node("merges").orElseThrow(() -> file.missing("merges", "a list"));
    prefix.ifPresent(p -> checkMerges(file, merges, p));
    unknown.ifPresent(token -> json.put("unk_token", token));
    prefix.ifPresent(text -> json.put("continuing_subword_prefix", text));
    suffix.ifPresent(text -> json.put("end_of_word_suffix", text));
    json.put("fuse_unk", file.bool("fuse_unk", false));
    json.put("byte_fallback", fallback);
    boolean whole = file.bool("ignore_merges", false);
    json.put("ignore_merges", whole);
    json.set("vocab", vocabulary);
    json.set("merges", merges);
    boolean apart = !whole && prefix.isEmpty() && suffix.isEmpty() && keepsWordsApart(vocabulary);
    return of(json, vocabulary, complete, apart, 1);
  }

  /** A token of a byte, which ends with a bracket, may be that of a letter. */
  private static boolean keepsWordsApart(JsonNode vocabulary) {
    for (Map.Entry<String, JsonNode> entry : vocabulary.properties()) {
      String token = entry.getKey();
      for (int i = token.indexOf(MARK, 1); i > 0; i = token.indexOf(MARK, i + 1)) {
        char before = token.charAt(i - 1);
        if (TextPieces.isLetter(before) || before == '>') {
          return false;
        }
      }
    }
    return vocabulary.has(MARK);
  }

  private static Optional<String> affix(JsonFile file, String key) {
    Optional<String> affix = file.text(key).filter(text -> !text.isEmpty());
    if (affix.isPresent() && affix.get().length() > LONGEST_AFFIX) {
      throw file.unsupported(
          key, affix.get().length() + " characters", "at most " + LONGEST_AFFIX + " characters");
    }
    return affix;
  }

  /** The library cuts the prefix off the second part of every merge, whatever that is. */
  private static void checkMerges(JsonFile file, JsonNode merges, String prefix) {
    for (JsonNode merge : merges) {
      String second =
          merge.isTextual()
              ? merge.textValue().substring(merge.textValue().indexOf(' ') + 1)
              : merge.path(1).asText();
      if (!second.startsWith(prefix)) {
        throw file.wrong("merges", merge, "a second part that begins with " + prefix);
      }
    }
  }

  private static boolean hasAlphabet(JsonNode vocabulary) {
    int found = 0;
    for (char c = 0; c < 2 * BYTES; c++) {
      if (ByteAlphabet.byteOf(c) >= 0 && vocabulary.has(String.valueOf(c))) {
        found++;
      }
    }
    return found == BYTES;
  }

  private static boolean hasBytes(JsonNode vocabulary) {
    for (int b = 0; b < BYTES; b++) {
      if (!vocabulary.has(String.format("<0x%02X>", b))) {
        return false;
      }
    }
    return true;
  }

  private static CheckedModel unigram(JsonFile file, ObjectNode json) {
    JsonNode vocabulary = vocabulary(file, true);
    int unknown = file.integer("unk_id", 0, vocabulary.size() - 1);
    json.put("unk_id", unknown);
    json.put("byte_fallback", file.bool("byte_fallback", false));
    json.set("vocab", vocabulary);
    List<String> pieces = new ArrayList<>(vocabulary.size());
    long longest = 1;
    for (JsonNode piece : vocabulary) {
      String text = piece.path(0).textValue();
      if (piece.size() != 2 || !piece.path(1).isNumber()) {
        throw file.wrong("vocab", piece, "a piece and its score");
      }
      longest = Math.max(longest, token(file, text));
      pieces.add(text);
    }
    double work = longest * (double) longestChain(pieces) / USUAL_PIECES;
    return new CheckedModel(json, longest, longest, false, false, Math.max(1, work));
  }

  /** Returns how many pieces there are at most of which each begins with the one before it. */
  private static int longestChain(List<String> pieces) {
    String[] sorted = pieces.toArray(String[]::new);
    Arrays.sort(sorted);
    List<String> chain = new ArrayList<>();
    int longest = 0;
    for (String piece : sorted) {
      while (!chain.isEmpty() && !piece.startsWith(chain.getLast())) {
        chain.removeLast();
      }
      chain.add(piece);
      longest = Math.max(longest, chain.size());
    }
    return longest;
  }

  private static CheckedModel wordLevel(JsonFile file, ObjectNode json) {
    JsonNode vocabulary = vocabulary(file, false);
    json.put("unk_token", unknown(file, vocabulary));
    json.set("vocab", vocabulary);
    return of(json, vocabulary, false, false, 1);
  }

  private static CheckedModel wordPiece(JsonFile file, ObjectNode json) {
    JsonNode vocabulary = vocabulary(file, false);
    json.put("unk_token", unknown(file, vocabulary));
    json.put("continuing_subword_prefix", affix(file, "continuing_subword_prefix").orElse(""));
    int word = file.integer("max_input_chars_per_word", 1, LONGEST_WORD);
    json.put("max_input_chars_per_word", word);
    json.set("vocab", vocabulary);
    double work = Math.pow(word / (double) USUAL_WORD, 2);
    return of(json, vocabulary, false, false, Math.max(1, work));
  }

  private static String unknown(JsonFile file, JsonNode vocabulary) {
    String expected = "a token of the vocabulary";
    String token = file.text("unk_token").orElseThrow(() -> file.missing("unk_token", expected));
    if (!vocabulary.has(token)) {
      throw file.wrong("unk_token", TextNode.valueOf(token), expected);
    }
    return token;
  }

  private static JsonNode vocabulary(JsonFile file, boolean list) {
    JsonNode vocabulary =
        file.node("vocab").orElseThrow(() -> file.missing("vocab", "tokens and their ids"));
    if (list != vocabulary.isArray()) {
      throw file.wrong(
          "vocab", vocabulary, list ? "a list of pieces and scores" : "tokens and their ids");
    }
    return vocabulary;
  }

  private static CheckedModel of(
      ObjectNode json, JsonNode vocabulary, boolean complete, boolean apart, double work) {
    long longest = 1;
    long mapped = 1;
    for (Map.Entry<String, JsonNode> entry : vocabulary.properties()) {
      String token = entry.getKey();
      // the length in characters is enough to pass over nearly all
      if (token.length() * 3L > longest) {
        longest = Math.max(longest, Utf8.length(token));
      }
      mapped = Math.max(mapped, token.length());
    }
    return new CheckedModel(json, longest, mapped, complete, apart, work);
  }

  private static long token(JsonFile file, String text) {
    if (text.length() > LONGEST_TOKEN) {
      throw file.unsupported(
          "vocab", text.length() + " characters", "at most " + LONGEST_TOKEN + " of a piece");
    }
    return Utf8.length(text);
  }
}
