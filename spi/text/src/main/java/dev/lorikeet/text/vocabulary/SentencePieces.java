package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A vocabulary of SentencePiece's, and how it is used. */
final class SentencePieces {
  /*
   * Hugging Face's BPE wants merges, which SentencePiece does not store: it merges whatever pair is a piece, the one of
   * the best score first. So the merges are all ways to divide a piece into two, sorted by the score of the piece;
   * among those of one score the longer first part goes first, as transformers' converter has it.
   *
   * Cost: a look into the vocabulary for every place in every piece, so the square of a piece's length in time, which
   * is bounded.
   */
  private static final String MARK = "▁";
  private static final int LONGEST_PIECE = 512;
  private static final long MOST_WORK = 1L << 30;

  private final List<Piece> pieces;
  private final boolean unigram;
  private final boolean byteFallback;
  private final boolean prefixed;
  private final boolean trimmed;
  private final byte[] characters;

  /**
   * A piece.
   *
   * @param text its text, blanks as marks
   * @param score the logarithm of its probability, or its rank, negative
   * @param type what it is
   */
  record Piece(String text, double score, PieceType type) {}

  private record Merge(String left, String right, double score) {}

  /**
   * Makes a vocabulary.
   *
   * @param pieces by their ids
   * @param unigram whether the likeliest pieces are taken; otherwise pairs are merged, the best
   *     first
   * @param byteFallback whether unknown text becomes bytes
   * @param prefixed whether a blank goes before a text
   * @param trimmed whether runs of blanks become one, and those around a text none
   * @param characters how characters are normalized, precompiled; empty if they are not
   */
  SentencePieces(
      List<Piece> pieces,
      boolean unigram,
      boolean byteFallback,
      boolean prefixed,
      boolean trimmed,
      byte[] characters) {
    this.pieces = List.copyOf(pieces);
    this.unigram = unigram;
    this.byteFallback = byteFallback;
    this.prefixed = prefixed;
    this.trimmed = trimmed;
    this.characters = characters.clone();
  }

  /**
   * Returns what {@code tokenizer.json} would hold.
   *
   * @param where names the pieces in errors
   */
  ObjectNode definition(String where) {
    Definition definition = new Definition();
    int unknown = 0;
    for (int id = 0; id < pieces.size(); id++) {
      Piece piece = pieces.get(id);
      if (piece.type().isAdded()) {
        definition.addToken(id, piece.text(), piece.type() == PieceType.CONTROL);
      } else if (piece.type() == PieceType.UNKNOWN) {
        unknown = id;
        definition.addToken(id, piece.text(), true);
      }
    }
    if (unigram) {
      unigram(definition.model("Unigram"), unknown);
    } else {
      merges(definition.model("BPE"), unknown, where);
    }
    definition.component("normalizer", normalizer());
    if (unigram) {
      definition.component(
          "pre_tokenizer",
          ByteLevelForms.component("Metaspace")
              .put("replacement", MARK)
              .put("prepend_scheme", prefixed ? "always" : "never")
              .put("split", true));
    }
    definition.component("decoder", decoder());
    return definition.json();
  }

  private void unigram(ObjectNode model, int unknown) {
    model.put("unk_id", unknown).put("byte_fallback", byteFallback);
    ArrayNode list = model.putArray("vocab");
    pieces.forEach(piece -> list.addArray().add(piece.text()).add(piece.score()));
  }

  private void merges(ObjectNode model, int unknown, String where) {
    model.put("unk_token", pieces.get(unknown).text());
    model.put("fuse_unk", true).put("byte_fallback", byteFallback);
    ObjectNode vocabulary = model.putObject("vocab");
    Map<String, Integer> ids = new HashMap<>();
    long work = 0;
    for (int id = 0; id < pieces.size(); id++) {
      String text = pieces.get(id).text();
      work += (long) text.length() * text.length();
      if (text.length() > LONGEST_PIECE || work > MOST_WORK) {
        throw Faults.MODEL.unsupported(
            where, "pieces of at most " + LONGEST_PIECE + " characters, and few", text.length());
      }
      if (ids.putIfAbsent(text, id) == null) {
        vocabulary.put(text, id);
      }
    }
    List<Merge> merges = new ArrayList<>();
    for (Piece piece : pieces) {
      if (piece.type() != PieceType.CONTROL && piece.type() != PieceType.UNUSED) {
        addMerges(piece, ids, merges);
      }
    }
    merges.sort(
        Comparator.comparingDouble((Merge merge) -> -merge.score())
            .thenComparingInt(merge -> -length(merge.left()))
            .thenComparingInt(merge -> -length(merge.right())));
    ArrayNode list = model.putArray("merges");
    merges.forEach(merge -> list.addArray().add(merge.left()).add(merge.right()));
  }

  private static void addMerges(Piece piece, Map<String, Integer> ids, List<Merge> merges) {
    String text = piece.text();
    List<Merge> ofPiece = new ArrayList<>();
    for (int i = text.offsetByCodePoints(0, 1);
        i < text.length();
        i = text.offsetByCodePoints(i, 1)) {
      String left = text.substring(0, i);
      String right = text.substring(i);
      if (ids.containsKey(left) && ids.containsKey(right)) {
        ofPiece.add(new Merge(left, right, piece.score()));
      }
    }
    ofPiece.sort(
        Comparator.comparingInt((Merge merge) -> ids.getOrDefault(merge.left(), 0))
            .thenComparingInt(merge -> ids.getOrDefault(merge.right(), 0)));
    merges.addAll(ofPiece);
  }

  private static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  private ObjectNode normalizer() {
    List<ObjectNode> parts = new ArrayList<>();
    if (characters.length > 0) {
      parts.add(
          ByteLevelForms.component("Precompiled")
              .put("precompiled_charsmap", Base64.getEncoder().encodeToString(characters)));
    }
    if (trimmed) {
      parts.add(
          ByteLevelForms.component("Strip").put("strip_left", !unigram).put("strip_right", true));
      parts.add(replace("Regex", " {2,}", " "));
    }
    if (!unigram) { // there the pre-tokenizer does it
      if (prefixed) {
        parts.add(ByteLevelForms.component("Prepend").put("prepend", MARK));
      }
      parts.add(replace("String", " ", MARK));
    }
    return parts.size() == 1 ? parts.getFirst() : sequence("normalizers", parts);
  }

  private ObjectNode decoder() {
    List<ObjectNode> parts =
        new ArrayList<>(
            Arrays.asList(
                replace("String", MARK, " "),
                ByteLevelForms.component("ByteFallback"),
                ByteLevelForms.component("Fuse")));
    if (prefixed) {
      parts.add(
          ByteLevelForms.component("Strip").put("content", " ").put("start", 1).put("stop", 0));
    }
    return sequence("decoders", parts);
  }

  private static ObjectNode replace(String kind, String pattern, String content) {
    ObjectNode replace = ByteLevelForms.component("Replace");
    replace.putObject("pattern").put(kind, pattern);
    return replace.put("content", content);
  }

  private static ObjectNode sequence(String name, List<ObjectNode> parts) {
    ObjectNode sequence = ByteLevelForms.component("Sequence");
    sequence.putArray(name).addAll(parts);
    return sequence;
  }
}
