package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lorikeet.files.JsonFile;
import java.util.Optional;

/**
 * The normalizer of a tokenizer file, of a known type, with known fields, of bounded depth and
 * growth. What the native library is given is made anew from what was checked here.
 *
 * @param json the description for the native library
 * @param growth how many bytes a byte of text becomes at most
 * @param loss how many bytes of text end in one byte at most; infinite where text is left out
 * @param separable whether the text can be normalized in pieces that end with a letter and begin
 *     with none
 * @param keeps what it always leaves something of
 */
record CheckedNormalizer(
    ObjectNode json, double growth, double loss, boolean separable, Keeps keeps) {
  /** What a normalizer leaves something of that is of the same kind; each includes those before. */
  enum Keeps {
    /** Nothing. */
    NOTHING,
    /** Texts with a printable ASCII character other than the blank. */
    ASCII,
    /** Texts with such a character or a letter. */
    LETTERS;

    private Keeps and(Keeps other) {
      return compareTo(other) < 0 ? this : other;
    }
  }

  /** Four bytes of a text that is decomposed or composed are never less than one. */
  private static final double CANONICAL_LOSS = 4;

  private static final double CANONICAL_GROWTH = 3;
  private static final double COMPATIBLE_LOSS = 8;
  private static final double COMPATIBLE_GROWTH = 11;
  private static final double LOWERCASE_GROWTH = 1.5;
  private static final double LOWERCASE_LOSS = 3;
  private static final double CHINESE_GROWTH = 2;
  private static final double BYTES_GROWTH = 2;
  private static final int LONGEST_TEXT = 64;

  private static final ObjectNode PREPENDING =
      JsonNodeFactory.instance
          .objectNode()
          .put("type", "Prepend")
          .put("prepend", CheckedModel.MARK);
  private static final ObjectNode MARKING =
      JsonNodeFactory.instance
          .objectNode()
          .put("type", "Replace")
          .<ObjectNode>set("pattern", JsonNodeFactory.instance.objectNode().put("String", " "))
          .put("content", CheckedModel.MARK);

  private static final String KNOWN =
      "BertNormalizer, ByteLevel, Lowercase, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, Prepend,"
          + " Replace, Strip, StripAccents or a Sequence of them";

  /** Returns whether a text that is not empty is never normalized to an empty one. */
  boolean leavesSomething(String text) {
    return loss < Double.POSITIVE_INFINITY || leavesMoreThanSpace(text);
  }

  /** Returns whether it is certain that a text is not normalized to white space alone. */
  boolean leavesMoreThanSpace(String text) {
    return (keeps != Keeps.NOTHING && hasAscii(text))
        || (keeps == Keeps.LETTERS && text.chars().anyMatch(c -> TextPieces.isLetter((char) c)));
  }

  /**
   * Returns whether a mark is put before the text, where nothing else happens than that blanks
   * become marks; empty otherwise.
   */
  Optional<Boolean> marksBlanks() {
    if (json.equals(MARKING)) {
      return Optional.of(false);
    }
    JsonNode parts = json.path("normalizers");
    boolean prepending =
        parts.size() == 2 && parts.path(0).equals(PREPENDING) && parts.path(1).equals(MARKING);
    return prepending ? Optional.of(true) : Optional.empty();
  }

  private static boolean hasAscii(String text) {
    return text.chars().anyMatch(c -> c > ' ' && c < 0x7F);
  }

  /** Checks a normalizer; {@code nesting} is what remains of the components allowed. */
  static CheckedNormalizer check(JsonFile file, Nesting nesting) {
    nesting.count(file);
    String type = Nesting.type(file, KNOWN);
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("type", type);
    return switch (type) {
      case "Sequence" -> sequence(file, nesting, json);
      case "NFC" -> of(json, CANONICAL_GROWTH, CANONICAL_LOSS, true);
      case "NFD" -> of(json, CANONICAL_GROWTH, CANONICAL_LOSS, false);
      case "NFKC", "NFKD" -> of(json, COMPATIBLE_GROWTH, COMPATIBLE_LOSS, false);
      case "Lowercase" -> of(json, LOWERCASE_GROWTH, LOWERCASE_LOSS, false);
      case "Nmt", "StripAccents" -> lossy(json, 1);
      case "ByteLevel" -> of(json, BYTES_GROWTH, 1, false);
      case "Strip" -> {
        json.put("strip_left", file.bool("strip_left", true));
        json.put("strip_right", file.bool("strip_right", true));
        yield lossy(json, 1);
      }
      case "BertNormalizer" -> bert(file, json);
      case "Precompiled" -> {
        String map =
            file.text("precompiled_charsmap")
                .orElseThrow(() -> file.missing("precompiled_charsmap", "a map in base64"));
        json.put("precompiled_charsmap", map);
        CharacterMap.Checked checked = CharacterMap.check(file, map);
        yield new CheckedNormalizer(
            json,
            checked.growth(),
            Double.POSITIVE_INFINITY,
            false,
            checked.keepsAscii() ? Keeps.ASCII : Keeps.NOTHING);
      }
      case "Prepend" -> {
        String prepended = text(file, "prepend");
        if (prepended.isEmpty()) {
          throw file.wrong("prepend", TextNode.valueOf(prepended), "one character or more");
        }
        json.put("prepend", prepended);
        yield of(json, 1, 1, false);
      }
      case "Replace" -> replace(file, nesting, json);
      default -> throw file.unsupported("type", type, KNOWN);
    };
  }

  private static CheckedNormalizer of(
      ObjectNode json, double growth, double loss, boolean separable) {
    return new CheckedNormalizer(json, growth, loss, separable, Keeps.LETTERS);
  }

  private static CheckedNormalizer lossy(ObjectNode json, double growth) {
    return of(json, growth, Double.POSITIVE_INFINITY, false);
  }

  private static CheckedNormalizer sequence(JsonFile file, Nesting nesting, ObjectNode json) {
    double growth = 1;
    double loss = 1;
    boolean separable = true;
    Keeps keeps = Keeps.LETTERS;
    var list = json.putArray("normalizers");
    for (JsonFile part : file.objects("normalizers", Nesting.MOST)) {
      CheckedNormalizer checked = check(part, nesting.deeper(part));
      list.add(checked.json);
      growth *= checked.growth;
      loss *= checked.loss;
      separable &= checked.separable;
      keeps = keeps.and(checked.keeps);
    }
    return new CheckedNormalizer(json, growth, loss, separable, keeps);
  }

  private static CheckedNormalizer bert(JsonFile file, ObjectNode json) {
    boolean clean = file.bool("clean_text", true);
    boolean chinese = file.bool("handle_chinese_chars", true);
    boolean lowercase = file.bool("lowercase", true);
    json.put("clean_text", clean).put("handle_chinese_chars", chinese).put("lowercase", lowercase);
    boolean stripped = file.bool("strip_accents", lowercase);
    json.put("strip_accents", stripped);
    double growth =
        (chinese ? CHINESE_GROWTH : 1)
            * (stripped ? CANONICAL_GROWTH : 1)
            * (lowercase ? LOWERCASE_GROWTH : 1);
    return lossy(json, growth);
  }

  private static CheckedNormalizer replace(JsonFile file, Nesting nesting, ObjectNode json) {
    CheckedPattern pattern = CheckedPattern.check(file, nesting);
    String content = text(file, "content");
    json.set("pattern", pattern.json());
    json.put("content", content);
    double growth = Math.max(1, Utf8.length(content) / (double) pattern.fewestBytes());
    double loss = Math.max(1, pattern.mostBytes() / Utf8.length(content));
    boolean kept = hasAscii(content) || pattern.ofSpace();
    return new CheckedNormalizer(json, growth, loss, false, kept ? Keeps.LETTERS : Keeps.NOTHING);
  }

  private static String text(JsonFile file, String key) {
    String text = file.text(key).orElseThrow(() -> file.missing(key, "text"));
    if (text.length() > LONGEST_TEXT) {
      throw file.unsupported(
          key, text.length() + " characters", "at most " + LONGEST_TEXT + " characters");
    }
    return text;
  }
}
