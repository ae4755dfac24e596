package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.text.SpecialTokens;
import dev.lorikeet.text.vocabulary.TokenizerSource;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The tokenizer of a model directory or a GGUF file: {@code tokenizer.json} or what is made of
 * other forms ({@link TokenizerSource}), and what {@code tokenizer_config.json} and {@code
 * special_tokens_map.json} add to it: the named special tokens, which transformers makes special
 * where the first does not say so; the same is done here.
 */
final class TokenizerFile {
  private static final int MAX_ID = (1 << 22) - 1;

  private static final String NORMALIZED = "normalized";
  private static final List<String> FLAGS = List.of("single_word", "lstrip", "rstrip", NORMALIZED);

  private final JsonFile json;
  private final Optional<JsonFile> config;
  private final SpecialTokens named;
  private final Map<String, Integer> idOf = new HashMap<>();
  private final Set<Integer> special = new HashSet<>();
  private int highestId = -1;

  private TokenizerFile(JsonFile json, Optional<JsonFile> config, SpecialTokens named) {
    this.json = json;
    this.config = config;
    this.named = named;
    readVocabulary();
    readAddedTokens();
    addMissingTokens();
    markSpecialTokens();
  }

  static TokenizerFile read(Path directory) {
    JsonFile json = TokenizerSource.definition(directory);
    Optional<JsonFile> config = TokenizerSource.config(directory);
    return new TokenizerFile(json, config, SpecialTokens.read(directory, config));
  }

  private void readVocabulary() {
    JsonFile model = json.object("model").orElseThrow(() -> json.missing("model", "an object"));
    JsonNode vocabulary =
        model.node("vocab").orElseThrow(() -> model.missing("vocab", "tokens and their ids"));
    if (vocabulary.isObject()) {
      for (var entry : vocabulary.properties()) {
        put(entry.getKey(), model.integer("vocab", entry.getValue(), 0, MAX_ID));
      }
    } else if (vocabulary.isArray()) { // Unigram: pairs of piece and score, the id is the place
      for (JsonNode piece : vocabulary) {
        if (!piece.path(0).isTextual() || highestId == MAX_ID) {
          throw model.wrong("vocab", piece, "a piece and its score");
        }
        put(piece.path(0).textValue(), highestId + 1);
      }
    } else {
      throw model.wrong("vocab", vocabulary, "tokens and their ids");
    }
  }

  private void put(String token, int id) {
    idOf.put(token, id);
    highestId = Math.max(highestId, id);
  }

  private void readAddedTokens() {
    for (JsonNode token : json.root().path("added_tokens")) {
      int id = json.integer("added_tokens", token.path("id"), 0, MAX_ID);
      if (!token.path("content").isTextual()) {
        throw json.wrong("added_tokens", token, "tokens with content");
      }
      put(token.path("content").textValue(), id);
      if (token.path("special").asBoolean()) {
        special.add(id);
      }
    }
  }

  /**
   * Adds to the tree what {@code added_tokens_decoder} has and the file lacks, as transformers
   * does: in the order of the ids there, under the id of the vocabulary or else the next one.
   */
  private void addMissingTokens() {
    Optional<JsonFile> decoder = config.flatMap(c -> c.object("added_tokens_decoder"));
    if (decoder.isEmpty()) {
      return;
    }
    Set<String> there = new HashSet<>();
    json.root().path("added_tokens").forEach(token -> there.add(token.path("content").asText()));
    SortedMap<Integer, JsonNode> byId = new TreeMap<>();
    for (var entry : decoder.get().root().properties()) {
      if (entry.getKey().matches("[0-9]{1,7}") && entry.getValue().path("content").isTextual()) {
        byId.put(Integer.valueOf(entry.getKey()), entry.getValue());
      }
    }
    for (JsonNode token : byId.values()) {
      String content = token.path("content").textValue();
      if (content.isEmpty() || !there.add(content) || highestId == MAX_ID) {
        continue;
      }
      int id = idOf.getOrDefault(content, highestId + 1);
      put(content, id);
      ObjectNode added = json.root().withArray("added_tokens").addObject();
      added.put("id", id).put("content", content);
      for (String flag : FLAGS) {
        added.put(flag, token.path(flag).asBoolean(flag.equals(NORMALIZED)));
      }
      boolean isSpecial = token.path("special").asBoolean();
      added.put("special", isSpecial);
      if (isSpecial) {
        special.add(id);
      }
    }
  }

  /** Edits the tree before it is checked. */
  private void markSpecialTokens() {
    Map<String, ObjectNode> added = new HashMap<>();
    JsonNode list = json.root().path("added_tokens");
    list.forEach(token -> added.put(token.path("content").textValue(), (ObjectNode) token));
    ArrayNode tokens =
        list instanceof ArrayNode array ? array : json.root().putArray("added_tokens");
    for (String content : named.all()) {
      Integer id = idOf.get(content);
      if (id == null) {
        continue; // transformers gives it an id beyond the vocabulary, which no model has weights
        // for
      }
      special.add(id);
      ObjectNode entry = added.get(content);
      if (entry == null) {
        entry = tokens.addObject().put("id", id).put("content", content);
        for (String flag : FLAGS) {
          entry.put(flag, false);
        }
        added.put(content, entry);
      }
      entry.put("special", true);
    }
  }

  /** Returns how errors name the definition. */
  String source() {
    return json.source();
  }

  /** Returns the text of a named special token, such as {@code bos_token}. */
  Optional<String> namedToken(String name) {
    return named.named(name);
  }

  /** Returns the id of a token. */
  Optional<Integer> id(String token) {
    return Optional.ofNullable(idOf.get(token));
  }

  /** Returns the text of every token by its id; empty where an id has none. */
  List<Optional<String>> tokens() {
    List<Optional<String>> tokens =
        new ArrayList<>(Collections.nCopies(highestId + 1, Optional.empty()));
    idOf.forEach((token, id) -> tokens.set(id, Optional.of(token)));
    return tokens;
  }

  /** Returns the special tokens by their text. */
  Map<String, Integer> specialTokens() {
    return idOf.entrySet().stream()
        .filter(token -> special.contains(token.getValue()))
        .collect(Collectors.toUnmodifiableMap(Map.Entry::getKey, Map.Entry::getValue));
  }

  /** Returns the ids of special tokens. */
  Set<Integer> special() {
    return special;
  }

  /** Returns whether the configuration asks for a BOS before every text. */
  boolean addsBos() {
    return config.isPresent() && config.get().bool("add_bos_token", false);
  }

  /**
   * Returns whether spaces are cleaned up after decoding. As in transformers 5 a BPE tokenizer, for
   * which it does harm, needs a second key to be so treated.
   */
  boolean cleansUp() {
    boolean bpe = json.root().path("model").path("type").asText("BPE").equals("BPE");
    return config.isPresent()
        && config.get().bool("clean_up_tokenization_spaces", false)
        && (!bpe
            || config
                .get()
                .bool(
                    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
                    false));
  }

  /** Returns the decoder's description. */
  Optional<JsonFile> decoder() {
    return json.object("decoder");
  }

  /** Returns what the native tokenizer may be made from. */
  CheckedTokenizer check() {
    return CheckedTokenizer.check(json, highestId);
  }
}
