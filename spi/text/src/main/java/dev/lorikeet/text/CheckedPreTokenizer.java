package dev.lorikeet.text;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lorikeet.files.JsonFile;
import java.util.Optional;
import java.util.Set;

/**
 * The pre-tokenizer of a tokenizer file, of a known type, with known fields, of bounded depth and
 * growth. What the native library is given is made anew from what was checked here.
 *
 * @param json the description for the native library
 * @param growth how many bytes a byte of text becomes at most
 * @param drops whether parts of the text are left out
 * @param bytes whether every character that comes out stands for a byte
 * @param cut how it divides a text where a letter is followed by white space or punctuation
 * @param slowOnSpace whether it takes quadratic time on white space
 */
record CheckedPreTokenizer(
    ObjectNode json, double growth, boolean drops, boolean bytes, Cut cut, boolean slowOnSpace) {
  /** What happens at a place where a letter is followed by white space or punctuation. */
  enum Cut {
    /** The text is divided there, and what follows does not depend on what went before. */
    ALWAYS,
    /** The text may go on there, but neither part depends on the other. */
    MAYBE,
    /** Nothing is known. */
    UNKNOWN
  }

  private static final double BYTES_GROWTH = 2;
  private static final int LONGEST_PIECE = 1 << 20;
  private static final Set<String> BEHAVIORS =
      Set.of("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous");
  private static final Set<String> SCHEMES = Set.of("first", "never", "always");

  private static final String KNOWN =
      "BertPreTokenizer, ByteLevel, CharDelimiterSplit, Digits, FixedLength, Metaspace,"
          + " Punctuation, Split, UnicodeScripts, Whitespace, WhitespaceSplit or a Sequence of"
          + " them";

  /**
   * Returns whether a mark is put before the text, where nothing else happens than that blanks
   * become marks and begin new parts; empty otherwise.
   */
  Optional<Boolean> marksBlanks() {
    boolean marks =
        json.path("type").asText().equals("Metaspace")
            && json.path("replacement").asText().equals(CheckedModel.MARK);
    return marks
        ? Optional.of(!json.path("prepend_scheme").asText().equals("never"))
        : Optional.empty();
  }

  /** Returns whether nothing is divided but at blanks. */
  boolean ofBlanks() {
    return json.path("type").asText().equals("Split")
        && json.path("pattern").path("String").asText().equals(" ");
  }

  /** Checks a pre-tokenizer; {@code nesting} is what remains of the components allowed. */
  static CheckedPreTokenizer check(JsonFile file, Nesting nesting) {
    nesting.count(file);
    String type = Nesting.type(file, KNOWN);
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("type", type);
    return switch (type) {
      case "Sequence" -> sequence(file, nesting, json);
      case "ByteLevel" -> byteLevel(file, json);
      case "Metaspace" -> metaspace(file, json);
      case "Split" -> split(file, nesting, json);
      case "BertPreTokenizer", "Whitespace", "WhitespaceSplit" -> plain(json, true, Cut.UNKNOWN);
      case "UnicodeScripts" -> plain(json, false, Cut.UNKNOWN);
      case "CharDelimiterSplit" -> {
        json.put("delimiter", character(file, "delimiter"));
        yield plain(json, true, Cut.UNKNOWN);
      }
      case "Digits" -> {
        json.put("individual_digits", file.bool("individual_digits", false));
        yield plain(json, false, Cut.MAYBE);
      }
      case "Punctuation" -> {
        String behavior = oneOf(file, "behavior", "Isolated", BEHAVIORS);
        json.put("behavior", behavior);
        boolean apart = behavior.equals("Isolated") || behavior.equals("Contiguous");
        yield plain(json, behavior.equals("Removed"), apart ? Cut.MAYBE : Cut.UNKNOWN);
      }
      case "FixedLength" -> {
        json.put("length", file.optionalInteger("length", 1, LONGEST_PIECE).orElse(5));
        yield plain(json, false, Cut.UNKNOWN);
      }
      default -> throw file.unsupported("type", type, KNOWN);
    };
  }

  private static CheckedPreTokenizer plain(ObjectNode json, boolean drops, Cut cut) {
    return new CheckedPreTokenizer(json, 1, drops, false, cut, false);
  }

  private static CheckedPreTokenizer sequence(JsonFile file, Nesting nesting, ObjectNode json) {
    double growth = 1;
    boolean drops = false;
    boolean bytes = false;
    boolean slowOnSpace = false;
    Cut cut = Cut.MAYBE;
    var list = json.putArray("pretokenizers");
    for (JsonFile part : file.objects("pretokenizers", Nesting.MOST)) {
      CheckedPreTokenizer checked = check(part, nesting.deeper(part));
      list.add(checked.json);
      growth *= checked.growth;
      drops |= checked.drops;
      slowOnSpace |= checked.slowOnSpace;
      if (bytes) {
        cut = Cut.UNKNOWN; // what comes after sees other letters than those of the text
      } else if (cut != Cut.UNKNOWN && checked.cut != Cut.MAYBE) {
        cut = checked.cut;
      }
      bytes |= checked.bytes;
    }
    return new CheckedPreTokenizer(json, growth, drops, bytes, cut, slowOnSpace);
  }

  private static CheckedPreTokenizer byteLevel(JsonFile file, ObjectNode json) {
    boolean prefixed = file.bool("add_prefix_space", true);
    boolean splits = file.bool("use_regex", true);
    json.put("add_prefix_space", prefixed);
    json.put("trim_offsets", file.bool("trim_offsets", true));
    json.put("use_regex", splits);
    Cut cut = prefixed ? Cut.UNKNOWN : splits ? Cut.ALWAYS : Cut.MAYBE;
    return new CheckedPreTokenizer(json, BYTES_GROWTH, false, true, cut, false);
  }

  private static CheckedPreTokenizer metaspace(JsonFile file, ObjectNode json) {
    String mark = file.has("replacement") ? character(file, "replacement") : "▁";
    json.put("replacement", mark);
    String scheme = oneOf(file, "prepend_scheme", "always", SCHEMES);
    if (!file.bool("add_prefix_space", true)) {
      if (file.has("prepend_scheme") && !scheme.equals("never")) {
        throw file.wrong("prepend_scheme", TextNode.valueOf(scheme), "never, as is no prefix");
      }
      scheme = "never";
    }
    json.put("prepend_scheme", scheme).put("split", file.bool("split", true));
    return new CheckedPreTokenizer(json, Utf8.length(mark), false, false, Cut.UNKNOWN, false);
  }

  private static CheckedPreTokenizer split(JsonFile file, Nesting nesting, ObjectNode json) {
    CheckedPattern pattern = CheckedPattern.check(file, nesting);
    String behavior = oneOf(file, "behavior", "", BEHAVIORS);
    boolean inverted = file.bool("invert", false);
    json.set("pattern", pattern.json());
    json.put("behavior", behavior).put("invert", inverted);
    Cut cut = Cut.UNKNOWN;
    if (pattern.letters() && behavior.equals("Isolated") && !inverted) {
      cut = pattern.cutsLetters() ? Cut.ALWAYS : Cut.MAYBE;
    }
    return new CheckedPreTokenizer(
        json, 1, behavior.equals("Removed"), false, cut, pattern.slowOnSpace());
  }

  private static String character(JsonFile file, String key) {
    String expected = "one character";
    String text = file.text(key).orElseThrow(() -> file.missing(key, expected));
    if (text.codePointCount(0, text.length()) != 1) {
      throw file.wrong(key, TextNode.valueOf(text), expected);
    }
    return text;
  }

  private static String oneOf(JsonFile file, String key, String otherwise, Set<String> known) {
    String value = file.text(key).orElse(otherwise);
    if (!known.contains(value)) {
      throw file.wrong(key, TextNode.valueOf(value), "one of " + known.stream().sorted().toList());
    }
    return value;
  }
}
