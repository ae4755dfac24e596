package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
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

  private final List<Optional<String>> tokens;
  private final BitSet special = new BitSet();
  private final boolean cleansUp;
  private final List<UnaryOperator<DecodeStage>> recipe = new ArrayList<>();
  private boolean fused;

  Detokenizer(TokenizerFile file) {
    this.tokens = List.copyOf(file.tokens());
    this.cleansUp = file.cleansUp();
    file.special().forEach(special::set);
    file.decoder()
        .ifPresentOrElse(decoder -> add(decoder.root()), () -> recipe.add(DecodeStage.Spaced::new));
    if (cleansUp) {
      for (String[] pair : CLEAN_UP) {
        recipe.add(next -> new DecodeStage.TextReplace(pair[0], pair[1], next));
      }
    }
  }

  private void add(JsonNode decoder) {
    String type = decoder.path("type").asText();
    switch (type) {
      case "Sequence" -> decoder.path("decoders").forEach(this::add);
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
    if (pattern.isEmpty()) {
      throw unsupported("Replace with a string for its pattern", decoder.toString());
    }
    String content = decoder.path("content").asText();
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
        "tokenizer.json: decoder: expected " + expected + ", found '" + found + "'");
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

  /** Applies the clean-up, if there is one, to a text that was decoded without. */
  String cleanUp(String text) {
    String clean = text;
    if (cleansUp) {
      for (String[] pair : CLEAN_UP) {
        clean = clean.replace(pair[0], pair[1]);
      }
    }
    return clean;
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
