package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * How tokenizers of bytes divide a text into words before merges, under the names that GGUF files
 * have for it.
 */
enum ByteLevelForms {
  /** GPT-2's own expression, which the component for bytes has built in. */
  GPT2(false, false),
  /** The same after every digit is taken apart. */
  DIGITS(false, false),
  /** Llama 3's: at most three digits together. */
  LLAMA3(true, true),
  /** The same for vocabularies that take no shortcut to whole words. */
  LLAMA3_MERGED(false, false),
  /** Qwen2's: every digit by itself; composed characters. */
  QWEN2(false, false),
  /** Mistral's: words end where lower case is followed by upper case. */
  TEKKEN(true, true),
  /** GPT-4o's: the same with contractions, at most three digits together. */
  GPT4O(false, false),
  /** What llama.cpp does where nobody has said how the text is to be divided. */
  DEFAULT(false, false);

  private static final String GPT2_WORDS =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  private static final String CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  private static final String SPACE = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  private static final String MARKS = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
  private static final String MARKS_AND_SLASHES = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*";
  private static final String UPPER = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";

  private static final Map<String, ByteLevelForms> NAMES = names();

  private final boolean wholeWords;
  private final boolean addsBos;

  ByteLevelForms(boolean wholeWords, boolean addsBos) {
    this.wholeWords = wholeWords;
    this.addsBos = addsBos;
  }

  private static Map<String, ByteLevelForms> names() {
    Map<String, ByteLevelForms> names = new TreeMap<>();
    put(names, GPT2, "gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "granite-docling");
    put(names, GPT2, "gigachat", "mellum", "a.x-4.0");
    put(names, DIGITS, "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone");
    put(names, DIGITS, "minerva-7b");
    put(names, LLAMA3, "llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "lfm2");
    put(names, LLAMA3_MERGED, "dbrx", "smaug-bpe", "chatglm-bpe", "glm4");
    put(names, QWEN2, "qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo");
    put(names, TEKKEN, "tekken");
    put(names, GPT4O, "gpt-4o", "llama4", "minimax-m2");
    put(names, DEFAULT, "default");
    return names;
  }

  private static void put(
      Map<String, ByteLevelForms> names, ByteLevelForms form, String... ofForm) {
    for (String name : ofForm) {
      names.put(name, form);
    }
  }

  /** Returns the form of a name. */
  static Optional<ByteLevelForms> named(String name) {
    return Optional.ofNullable(NAMES.get(name));
  }

  /** Returns all names, sorted. */
  static List<String> known() {
    return List.copyOf(NAMES.keySet());
  }

  /** Returns whether a word that is a token is taken whole, whatever the merges make of it. */
  boolean wholeWords() {
    return wholeWords;
  }

  /** Returns whether BOS goes before a text where the file does not say. */
  boolean addsBos() {
    return addsBos;
  }

  /** Returns the normalizer, if there is one. */
  Optional<ObjectNode> normalizer() {
    return this == QWEN2 ? Optional.of(component("NFC")) : Optional.empty();
  }

  /** Returns the pre-tokenizer. */
  ObjectNode preTokenizer() {
    return switch (this) {
      case GPT2 -> bytes(true);
      case DIGITS -> sequence(component("Digits").put("individual_digits", true), bytes(true));
      case LLAMA3, LLAMA3_MERGED ->
          words(CONTRACTIONS + letters() + "|\\p{N}{1,3}" + MARKS + SPACE);
      case QWEN2 -> words(CONTRACTIONS + letters() + "|\\p{N}" + MARKS + SPACE);
      case TEKKEN ->
          words(UPPER + "*" + LOWER + "+|" + UPPER + "+" + LOWER + "*|\\p{N}" + slashes());
      case GPT4O ->
          words(
              UPPER
                  + "*"
                  + LOWER
                  + "+"
                  + CONTRACTIONS
                  + "?|"
                  + UPPER
                  + "+"
                  + LOWER
                  + "*"
                  + CONTRACTIONS
                  + "?|\\p{N}{1,3}"
                  + slashes());
      case DEFAULT ->
          sequence(
              split("[\\p{P}\\$\\+<=>\\^~\\|]+"),
              split(GPT2_WORDS),
              split("\\p{N}+"),
              split("[0-9][0-9][0-9]"),
              bytes(false));
    };
  }

  private static String letters() {
    return "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
  }

  private static String slashes() {
    return MARKS_AND_SLASHES + SPACE;
  }

  private static ObjectNode words(String regex) {
    return sequence(split(regex), bytes(false));
  }

  private static ObjectNode split(String regex) {
    ObjectNode split = component("Split");
    split.putObject("pattern").put("Regex", regex);
    return split.put("behavior", "Isolated").put("invert", false);
  }

  /** The component that gives every byte a character, and, if asked to, divides as GPT-2 does. */
  static ObjectNode bytes(boolean divides) {
    return component("ByteLevel")
        .put("add_prefix_space", false)
        .put("trim_offsets", true)
        .put("use_regex", divides);
  }

  private static ObjectNode sequence(ObjectNode... parts) {
    ObjectNode sequence = component("Sequence");
    ArrayNode list = sequence.putArray("pretokenizers");
    list.addAll(List.of(parts));
    return sequence;
  }

  static ObjectNode component(String type) {
    return JsonNodeFactory.instance.objectNode().put("type", type);
  }
}
