package dev.lorikeet.text;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.JsonFile;
import java.util.Optional;

/*
 * The native library takes its file on trust: it recurses as deep as the file nests, indexes by
 * what the file says, and compiles any regular expression; where that goes wrong a panic ends the
 * process, since it cannot cross JNI, or a call does not return. So the file is read here first, by
 * component types and fields that are known, and the library gets a new one that holds nothing
 * else. Decoder and post-processor it does not get at all: both are done in Java. What cannot be
 * judged is refused.
 *
 * The bounds on text come from the same reading. A token of byte-level BPE stands for as many bytes
 * as it has characters, so a text has at least its bytes divided by those of the longest token.
 * That holds as well where bytes are a fallback, and with normalizers that shrink text, times how
 * much they can. It does not hold where a token may stand for any number of bytes: unknown text,
 * white space that added tokens or pre-tokenizers take away, normalizers that leave text out. Then
 * what the library is given at once is the only bound.
 */

/**
 * A tokenizer file that the native library may see.
 *
 * @param json what it is given
 * @param affixes what is put around the ids it gives
 * @param limits how much text it may be given
 */
record CheckedTokenizer(ObjectNode json, Affixes affixes, TextLimits limits) {
  private static final String VERSION = "1.0";

  /** No normalizer and pre-tokenizer in use makes more of a text than a fifth of this. */
  private static final double MOST_GROWTH = 256;

  /** What usual ones make of a text; the time that a byte takes grows with what it becomes. */
  private static final double USUAL_GROWTH = 4;

  /** One to three seconds of a processor at worst. */
  private static final int BYTES_AT_ONCE = 1 << 20;

  /** A second at worst; where a text is encoded in pieces more than this in a row is odd. */
  private static final int BYTES_IN_A_ROW = 1 << 18;

  private static final int FEWEST_BYTES_AT_ONCE = 1 << 14;
  private static final int SLOW_SPACE = 10_000;

  /**
   * Checks a file.
   *
   * @param highestId the highest id that a token has
   */
  static CheckedTokenizer check(JsonFile file, int highestId) {
    file.text("version")
        .filter(version -> !version.equals(VERSION))
        .ifPresent(
            version -> {
              throw file.unsupported("version", version, VERSION);
            });
    Optional<CheckedNormalizer> normalizer =
        file.object("normalizer").map(part -> CheckedNormalizer.check(part, new Nesting()));
    Optional<CheckedPreTokenizer> preTokenizer =
        file.object("pre_tokenizer").map(part -> CheckedPreTokenizer.check(part, new Nesting()));
    double normalized = normalizer.map(CheckedNormalizer::growth).orElse(1.0);
    double growth = normalized * preTokenizer.map(CheckedPreTokenizer::growth).orElse(1.0);
    if (growth > MOST_GROWTH) {
      throw file.unsupported(
          "normalizer", Math.round(growth), "one that makes at most 256 bytes of one");
    }
    AddedTokens added = AddedTokens.check(file, normalizer);
    JsonFile modelFile = file.object("model").orElseThrow(() -> file.missing("model", "an object"));
    boolean bytes = preTokenizer.filter(CheckedPreTokenizer::bytes).isPresent();
    CheckedModel model = CheckedModel.check(modelFile, bytes);
    Affixes affixes =
        file.object("post_processor")
            .map(part -> Affixes.read(part, highestId, new Nesting()))
            .orElse(Affixes.NONE);

    ObjectNode json = JsonNodeFactory.instance.objectNode().put("version", VERSION);
    json.set("added_tokens", added.json());
    normalizer.ifPresent(part -> json.set("normalizer", part.json()));
    preTokenizer.ifPresent(part -> json.set("pre_tokenizer", part.json()));
    json.set("model", model.json());
    double loss = normalizer.map(CheckedNormalizer::loss).orElse(1.0);
    boolean exact =
        model.complete()
            && !added.absorbs()
            && preTokenizer.filter(CheckedPreTokenizer::drops).isEmpty();
    double longestOfModel = (double) (bytes ? model.longestMapped() : model.longestToken());
    double longest =
        Math.max(
            (double) added.longest(), Math.max(longestOfModel, added.longestNormalized()) * loss);
    double slower = Math.max(1, growth / USUAL_GROWTH) * model.work();
    TextLimits.Cuts cuts = cuts(normalizer, preTokenizer, model, added);
    boolean slowOnSpace = preTokenizer.filter(CheckedPreTokenizer::slowOnSpace).isPresent();
    TextLimits limits =
        new TextLimits(
            exact ? longest : Double.POSITIVE_INFINITY,
            (int)
                Math.max(
                    FEWEST_BYTES_AT_ONCE,
                    (cuts == TextLimits.Cuts.NONE ? BYTES_AT_ONCE : BYTES_IN_A_ROW) / slower),
            slowOnSpace ? SLOW_SPACE : Integer.MAX_VALUE,
            cuts);
    return new CheckedTokenizer(json, affixes, limits);
  }

  private static TextLimits.Cuts cuts(
      Optional<CheckedNormalizer> normalizer,
      Optional<CheckedPreTokenizer> preTokenizer,
      CheckedModel model,
      AddedTokens added) {
    if (!added.separable()) {
      return TextLimits.Cuts.NONE;
    }
    if (normalizer.map(CheckedNormalizer::separable).orElse(true)
        && preTokenizer.filter(p -> p.cut() == CheckedPreTokenizer.Cut.ALWAYS).isPresent()) {
      return TextLimits.Cuts.WORD_ENDS;
    }
    Optional<Boolean> prepends =
        normalizer.isPresent()
            ? normalizer
                .get()
                .marksBlanks()
                .filter(m -> preTokenizer.map(p -> p.ofBlanks()).orElse(true))
            : preTokenizer.flatMap(CheckedPreTokenizer::marksBlanks);
    if (!model.wordsApart() || prepends.isEmpty()) {
      return TextLimits.Cuts.NONE;
    }
    if (!prepends.get()) {
      return TextLimits.Cuts.BLANKS;
    }
    return added.framed() ? TextLimits.Cuts.WITHOUT_BLANKS : TextLimits.Cuts.NONE;
  }
}
