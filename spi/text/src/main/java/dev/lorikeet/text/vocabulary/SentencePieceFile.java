package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * SentencePiece's {@code tokenizer.model}: of its message the pieces, and what decides how they are
 * used. Facts of the format: {@code sentencepiece_model.proto} of github.com/google/sentencepiece.
 */
final class SentencePieceFile {
  private static final int MAX_PIECES = 1 << 22;
  private static final int UNIGRAM = 1;
  private static final int BPE = 2;

  // Fields of the messages that are read.
  private static final int PIECES = 1;
  private static final int TRAINER = 2;
  private static final int NORMALIZER = 3;
  private static final int MODEL_TYPE = 3;
  private static final int SUFFIXED = 24;
  private static final int BYTE_FALLBACK = 35;
  private static final int UNKNOWN_ID = 40;
  private static final int BOS_ID = 41;
  private static final int EOS_ID = 42;
  private static final int PADDING_ID = 43;
  private static final int CHARACTERS = 2;
  private static final int DUMMY_PREFIX = 3;
  private static final int EXTRA_SPACE = 4;
  private static final int ESCAPED = 5;

  private final Path file;
  private final List<SentencePieces.Piece> pieces = new ArrayList<>();
  private int type = UNIGRAM;
  private boolean byteFallback;
  private final Map<Integer, Integer> ids =
      new TreeMap<>(Map.of(UNKNOWN_ID, 0, BOS_ID, 1, EOS_ID, 2, PADDING_ID, -1));
  private byte[] characters = new byte[0];
  private boolean prefixed = true;
  private boolean trimmed = true;

  private SentencePieceFile(Path file) {
    this.file = file;
  }

  static SentencePieceFile read(Path path) {
    ByteBuffer bytes = UntrustedFile.read(Faults.MODEL, path, TokenizerSource.MAX_BYTES);
    SentencePieceFile file = new SentencePieceFile(path);
    file.read(new ProtobufMessage(path.toString(), bytes));
    return file;
  }

  private void read(ProtobufMessage model) {
    while (model.next()) {
      switch (model.field()) {
        case PIECES -> addPiece(model.message());
        case TRAINER -> readTrainer(model.message());
        case NORMALIZER -> readNormalizer(model.message());
        default -> {}
      }
    }
    if (pieces.isEmpty()) {
      throw Faults.MODEL.invalid(file, "a SentencePiece model with pieces", "none");
    }
    if (type != UNIGRAM && type != BPE) {
      throw Faults.MODEL.unsupported(
          file + ": model_type", "unigram (1) or BPE (2)", Integer.toString(type));
    }
  }

  private void addPiece(ProtobufMessage message) {
    String text = "";
    double score = 0;
    PieceType kind = PieceType.NORMAL;
    while (message.next()) {
      switch (message.field()) {
        case 1 -> text = message.text();
        case 2 -> score = message.decimal();
        case 3 -> kind = PieceType.of(number(message, "type of a piece", 1, PieceType.LAST));
        default -> {}
      }
    }
    String where = file + ": piece " + pieces.size();
    if (text.isEmpty() || !Double.isFinite(score)) {
      throw Faults.MODEL.invalid(where, "a text and a finite score", text + " " + score);
    }
    if (pieces.size() == MAX_PIECES) {
      throw Faults.MODEL.invalid(where, "at most " + MAX_PIECES + " pieces", "more");
    }
    pieces.add(new SentencePieces.Piece(text, score, kind));
  }

  private int number(ProtobufMessage message, String what, int least, int most) {
    long number = message.integer();
    if (number < least || number > most) {
      throw Faults.MODEL.invalid(
          file + ": " + what, "from " + least + " to " + most, Long.toString(number));
    }
    return (int) number;
  }

  private void readTrainer(ProtobufMessage trainer) {
    while (trainer.next()) {
      switch (trainer.field()) {
        case MODEL_TYPE -> type = number(trainer, "model_type", 0, Integer.MAX_VALUE);
        case BYTE_FALLBACK -> byteFallback = trainer.bool();
        case UNKNOWN_ID, BOS_ID, EOS_ID, PADDING_ID ->
            ids.put(trainer.field(), Math.clamp(trainer.integer(), -1, Integer.MAX_VALUE));
        case SUFFIXED -> refuse(trainer.bool(), "treat_whitespace_as_suffix", "false");
        default -> {}
      }
    }
  }

  private void readNormalizer(ProtobufMessage normalizer) {
    while (normalizer.next()) {
      switch (normalizer.field()) {
        case CHARACTERS -> characters = normalizer.octets();
        case DUMMY_PREFIX -> prefixed = normalizer.bool();
        case EXTRA_SPACE -> trimmed = normalizer.bool();
        case ESCAPED -> refuse(!normalizer.bool(), "escape_whitespaces", "true");
        default -> {}
      }
    }
  }

  private void refuse(boolean found, String key, String expected) {
    if (found) {
      throw Faults.MODEL.unsupported(file + ": " + key, expected, "the other");
    }
  }

  /** Returns what {@code tokenizer.json} would hold. */
  ObjectNode definition(Path shown) {
    return new SentencePieces(pieces, type == UNIGRAM, byteFallback, prefixed, trimmed, characters)
        .definition(shown.toString());
  }

  /** Returns what is so where {@code tokenizer_config.json} says nothing else. */
  ObjectNode config() {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    put(config, "unk_token", UNKNOWN_ID);
    put(config, "bos_token", BOS_ID);
    put(config, "eos_token", EOS_ID);
    put(config, "pad_token", PADDING_ID);
    // As Llama's, Mistral's and Gemma's tokenizers have it, which alone are of this kind.
    config.put("add_bos_token", type == BPE && config.has("bos_token"));
    return config;
  }

  private void put(ObjectNode config, String name, int field) {
    int id = ids.getOrDefault(field, -1);
    if (id >= 0 && id < pieces.size()) {
      config.put(name, pieces.get(id).text());
    }
  }
}
