package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.gguf.GgufHeader;
import dev.lorikeet.files.gguf.GgufMetadata;
import java.lang.System.Logger.Level;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/** Turns what a GGUF file says of its tokenizer into what Hugging Face's files say. */
final class GgufTokenizer {
  private static final System.Logger LOG = System.getLogger(GgufTokenizer.class.getName());

  private static final String PREFIX = "tokenizer.ggml.";
  private static final String MODEL = PREFIX + "model";
  private static final String PRE = PREFIX + "pre";
  private static final String TOKENS = PREFIX + "tokens";
  private static final String TYPES = PREFIX + "token_type";
  private static final String SCORES = PREFIX + "scores";
  private static final String MERGES = PREFIX + "merges";
  private static final String ADD_BOS = PREFIX + "add_bos_token";
  private static final String TEMPLATE = "tokenizer.chat_template";
  private static final String SENTENCE_PIECE = "llama";
  private static final String UNIGRAM = "t5";
  private static final String BYTES = "gpt2";
  private static final String WITHOUT = "default";

  /** Names of single tokens, here and there, and their ids where SentencePiece says nothing. */
  private static final Map<String, String> NAMED =
      Map.of(
          "bos_token_id", "bos_token",
          "eos_token_id", "eos_token",
          "unknown_token_id", "unk_token",
          "seperator_token_id", "sep_token",
          "padding_token_id", "pad_token",
          "cls_token_id", "cls_token",
          "mask_token_id", "mask_token");

  private static final Map<String, Integer> SENTENCE_PIECE_IDS =
      Map.of("unknown_token_id", 0, "bos_token_id", 1, "eos_token_id", 2);

  private final GgufMetadata metadata;
  private final String model;
  private final List<String> tokens;

  GgufTokenizer(GgufHeader header) {
    this.metadata = header.metadata();
    String expected =
        "'"
            + BYTES
            + "' (byte-level BPE), '"
            + SENTENCE_PIECE
            + "' or '"
            + UNIGRAM
            + "' (SentencePiece)";
    this.model = metadata.text(MODEL).orElseThrow(() -> metadata.missing(MODEL, expected));
    if (!List.of(BYTES, SENTENCE_PIECE, UNIGRAM).contains(model)) {
      throw metadata.unsupported(MODEL, expected, "'" + Faults.show(model) + "'");
    }
    this.tokens =
        metadata.texts(TOKENS).orElseThrow(() -> metadata.missing(TOKENS, "an array of texts"));
    if (tokens.isEmpty() || tokens.stream().anyMatch(String::isEmpty)) {
      throw metadata.wrong(TOKENS, "tokens that are not empty", "none, or an empty one");
    }
  }

  /** Returns what {@code tokenizer.json} would hold. */
  ObjectNode definition() {
    return model.equals(BYTES) ? byteLevel() : sentencePiece();
  }

  private ObjectNode byteLevel() {
    ByteLevelForms form = form();
    Definition definition = new Definition();
    List<PieceType> types = types();
    ObjectNode bpe = definition.model("BPE").put("ignore_merges", form.wholeWords());
    ObjectNode vocabulary = bpe.putObject("vocab");
    for (int id = 0; id < tokens.size(); id++) {
      String token = tokens.get(id);
      if (vocabulary.has(token)) {
        continue; // what stands twice is known by its first id
      }
      vocabulary.put(token, id);
      if (types.get(id).isAdded()) {
        definition.addToken(id, token, types.get(id) == PieceType.CONTROL);
      }
    }
    ArrayNode merges = bpe.putArray("merges");
    metadata
        .texts(MERGES)
        .orElseThrow(() -> metadata.missing(MERGES, "an array of texts"))
        .forEach(merges::add);
    form.normalizer().ifPresent(part -> definition.component("normalizer", part));
    definition.component("pre_tokenizer", form.preTokenizer());
    definition.component("decoder", ByteLevelForms.bytes(true));
    return definition.json();
  }

  private ByteLevelForms form() {
    Optional<String> pre = metadata.text(PRE);
    String name = pre.orElse(WITHOUT);
    if (name.equals(WITHOUT)) {
      LOG.log(
          Level.WARNING,
          "{0}: found {1}, so that texts may be divided otherwise than in training: a"
              + " tokenizer.json beside the file, in a folder that is named as the model, is used"
              + " in its place",
          metadata.where(PRE),
          pre.map(text -> "'" + text + "'").orElse("nothing"));
    }
    return ByteLevelForms.named(name)
        .orElseThrow(
            () ->
                metadata.unsupported(
                    PRE,
                    "one of "
                        + String.join(", ", ByteLevelForms.known())
                        + "; or the model's tokenizer.json beside the file, in a folder that is"
                        + " named as the model",
                    "'" + Faults.show(name) + "'"));
  }

  private ObjectNode sentencePiece() {
    boolean unigram = model.equals(UNIGRAM);
    List<PieceType> types = types();
    List<Double> scores =
        metadata.numbers(SCORES).orElseThrow(() -> metadata.missing(SCORES, "an array of numbers"));
    checkSize(SCORES, scores.size());
    List<SentencePieces.Piece> pieces = new ArrayList<>(tokens.size());
    for (int id = 0; id < tokens.size(); id++) {
      pieces.add(new SentencePieces.Piece(tokens.get(id), scores.get(id), types.get(id)));
    }
    return new SentencePieces(
            pieces,
            unigram,
            types.contains(PieceType.BYTE),
            metadata.bool(PREFIX + "add_space_prefix").orElse(true),
            metadata.bool(PREFIX + "remove_extra_whitespaces").orElse(false),
            metadata.octets(PREFIX + "precompiled_charsmap").orElse(new byte[0]))
        .definition(metadata.where(TOKENS));
  }

  private List<PieceType> types() {
    Optional<List<Integer>> numbers = metadata.integers(TYPES, 0, PieceType.LAST);
    if (numbers.isEmpty()) {
      return java.util.Collections.nCopies(tokens.size(), PieceType.NORMAL);
    }
    checkSize(TYPES, numbers.get().size());
    return numbers.get().stream().map(PieceType::of).toList();
  }

  private void checkSize(String key, int found) {
    if (found != tokens.size()) {
      throw metadata.wrong(key, "one for each of " + tokens.size() + " tokens", "" + found);
    }
  }

  /** Returns what {@code tokenizer_config.json} would hold. */
  ObjectNode config() {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    NAMED.forEach((key, name) -> token(key).ifPresent(id -> config.put(name, tokens.get(id))));
    boolean usually =
        switch (model) {
          case SENTENCE_PIECE -> true;
          case BYTES ->
              ByteLevelForms.named(metadata.text(PRE).orElse(WITHOUT))
                  .map(ByteLevelForms::addsBos)
                  .orElse(false);
          default -> false;
        };
    config.put("add_bos_token", metadata.bool(ADD_BOS).orElse(usually));
    Optional<String> template = metadata.text(TEMPLATE);
    Optional<List<String>> others = metadata.texts(TEMPLATE + "s");
    if (others.isPresent()) {
      ArrayNode list = config.putArray("chat_template");
      template.ifPresent(text -> put(list, "default", text));
      for (String name : others.get()) {
        metadata.text(TEMPLATE + "." + name).ifPresent(text -> put(list, name, text));
      }
    } else {
      template.ifPresent(text -> config.put("chat_template", text));
    }
    return config;
  }

  private static void put(ArrayNode list, String name, String template) {
    list.addObject().put("name", name).put("template", template);
  }

  private OptionalInt token(String key) {
    int absent = -1;
    int usual =
        model.equals(SENTENCE_PIECE) ? SENTENCE_PIECE_IDS.getOrDefault(key, absent) : absent;
    OptionalInt found = metadata.integer(PREFIX + key, absent, Integer.MAX_VALUE);
    int id = found.orElse(usual);
    return id >= 0 && id < tokens.size() ? OptionalInt.of(id) : OptionalInt.empty();
  }
}
