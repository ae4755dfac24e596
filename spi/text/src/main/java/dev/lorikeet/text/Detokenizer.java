package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Optional;
import java.util.function.UnaryOperator;

/**
 * What a tokenizer's decoder does, as a recipe that makes the stages of one stream. Immutable; any
 * number of threads may make streams.
 */
final class Detokenizer {
  /** transformers' clean_up_tokenization, in its order. */
  private static final String[][] CLEAN_UP = {
    {" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"},
    {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}
  };

  private static final int LONGEST_PATTERN = 64;
  private static final int MOST_GROWTH = 256;

  private final List<Optional<String>> tokens;
  private final BitSet special = new BitSet();
  private final List<UnaryOperator<DecodeStage>> recipe = new ArrayList<>();
  private boolean fused;
  private double growth = 1;

  Detokenizer(TokenizerFile file) {
    this.tokens = List.copyOf(file.tokens());
    file.special().forEach(special::set);
    file.decoder()
        .ifPresentOrElse(
            decoder -> add(decoder, new Nesting()), () -> recipe.add(DecodeStage.Spaced::new));
    if (file.cleansUp()) {
      for (String[] pair : CLEAN_UP) {
        recipe.add(next -> new DecodeStage.TextReplace(pair[0], pair[1], next));
      }
    }
  }

  private void add(JsonFile file, Nesting nesting) {
    nesting.count(file);
    JsonNode decoder = file.root();
    String type = decoder.path("type").asText();
    switch (type) {
      case "Sequence" ->
          file.objects("decoders", Nesting.MOST).forEach(part -> add(part, nesting.deeper(part)));
      case "ByteLevel" -> {
        recipe.add(DecodeStage.ByteLevel::new);
        fused = true;
      }
      case "ByteFallback" -> recipe.add(DecodeStage.ByteFallback::new);
      case "Fuse" -> fused = true; // stages pass on pieces of one text from here on
      case "Metaspace" -> addMetaspace(decoder);
      case "Replace" -> addReplace(decoder);
      case "Strip" -> addStrip(decoder);
      default ->
          throw unsupported(
              "ByteLevel, ByteFallback, Fuse, Metaspace, Replace, Strip or a Sequence of them",
              type);
    }
  }

  private void addMetaspace(JsonNode decoder) {
    String mark = decoder.path("replacement").asText("▁");
    if (mark.isEmpty()) {
      throw unsupported("Metaspace with a character for its replacement", decoder.toString());
    }
    boolean prepended =
        decoder.has("prepend_scheme")
            ? !decoder.path("prepend_scheme").asText().equals("never")
            : decoder.path("add_prefix_space").asBoolean(true);
    recipe.add(next -> new DecodeStage.Metaspace(mark, prepended, next));
  }

  private void addReplace(JsonNode decoder) {
    String pattern = decoder.path("pattern").path("String").asText("");
    if (pattern.isEmpty() || pattern.length() > LONGEST_PATTERN) {
      throw unsupported(
          "Replace with a string of 1 to " + LONGEST_PATTERN + " characters for its pattern",
          decoder.toString());
    }
    String content = decoder.path("content").asText();
    growth *= Math.max(1, content.length() / (double) pattern.length());
    if (growth > MOST_GROWTH) {
      throw unsupported(
          "Replace that makes at most " + MOST_GROWTH + " characters of one", decoder.toString());
    }
    recipe.add(
        fused
            ? next -> new DecodeStage.TextReplace(pattern, content, next)
            : next -> new DecodeStage.Replace(pattern, content, next));
  }

  private void addStrip(JsonNode decoder) {
    String content = decoder.path("content").asText();
    int start = decoder.path("start").asInt();
    if (content.length() != 1 || decoder.path("stop").asInt() != 0 || start < 0) {
      throw unsupported("Strip of one character from the start alone", decoder.toString());
    }
    boolean whole = fused;
    recipe.add(next -> new DecodeStage.Strip(content.charAt(0), start, whole, next));
  }

  private static LorikeetException unsupported(String expected, String found) {
    return new LorikeetException(
        Code.MODEL_UNSUPPORTED,
        "tokenizer.json: decoder: expected " + expected + ", found '" + Faults.show(found) + "'");
  }

  /** Returns the token of an id, or empty where the vocabulary has none. */
  Optional<String> token(int id) {
    return id >= 0 && id < tokens.size() ? tokens.get(id) : Optional.empty();
  }

  /** Returns whether a token is special: not text, but a mark such as the end of a sequence. */
  boolean isSpecial(int id) {
    return special.get(id);
  }

  /** Returns one more than the highest id. */
  int size() {
    return tokens.size();
  }

  StreamDecoder stream(boolean skipSpecialTokens) {
    StringBuilder text = new StringBuilder();
    DecodeStage first = new DecodeStage.Output(text);
    for (UnaryOperator<DecodeStage> stage : recipe.reversed()) {
      first = stage.apply(first);
    }
    return new StagedStreamDecoder(this, first, text, skipSpecialTokens);
  }
}
