package dev.lorikeet.text;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.TextNode;
import dev.lorikeet.files.JsonFile;
import java.util.Optional;

/**
 * The tokens beside the vocabulary that a text is searched for first.
 *
 * @param json the description for the native library
 * @param longest the most UTF-8 bytes of a token that is looked for in the text as it is
 * @param longestNormalized the most of one that is looked for in normalized text, once normalized
 * @param absorbs whether a token takes white space around it with it
 * @param separable whether none lies across a place where a letter is followed by white space or
 *     punctuation, or depends on what is beyond such a place
 * @param framed whether none begins or ends with a letter
 */
record AddedTokens(
    ArrayNode json,
    long longest,
    double longestNormalized,
    boolean absorbs,
    boolean separable,
    boolean framed) {
  /** The native library takes time with the square of their number. */
  private static final int MOST = 10_000;

  private static final int LONGEST = 512;

  /** How many bytes they may be in all, once they are normalized. */
  private static final double MOST_BYTES = 4 << 20;

  private static final String KEY = "added_tokens";

  /**
   * Checks the added tokens of a file.
   *
   * @param normalizer what those are normalized with that are looked for in normalized text
   */
  static AddedTokens check(JsonFile file, Optional<CheckedNormalizer> normalizer) {
    double growth = normalizer.map(CheckedNormalizer::growth).orElse(1.0);
    ArrayNode json = JsonNodeFactory.instance.arrayNode();
    long longest = 1;
    double longestNormalized = 1;
    double bytes = 0;
    boolean absorbs = false;
    boolean separable = true;
    boolean framed = true;
    if (!file.has(KEY)) {
      return new AddedTokens(json, longest, longestNormalized, absorbs, separable, framed);
    }
    for (JsonFile token : file.objects(KEY, MOST)) {
      String content = token.text("content").orElse("");
      if (content.isEmpty()) {
        continue; // the library passes over them, too
      }
      long length = Utf8.length(content);
      bytes += length * growth;
      if (length > LONGEST || bytes > MOST_BYTES) {
        throw token.unsupported(
            "content", length + " bytes", "tokens of at most " + LONGEST + " bytes, and few");
      }
      boolean special = token.bool("special", false);
      boolean word = token.bool("single_word", false);
      boolean left = token.bool("lstrip", false);
      boolean right = token.bool("rstrip", false);
      boolean normalized = token.bool("normalized", !special);
      if (normalized && !normalizer.map(n -> n.leavesSomething(content)).orElse(true)) {
        // an empty token would be found everywhere, within characters too
        throw token.wrong(
            "content", TextNode.valueOf(content), "something that the normalizer leaves");
      }
      if ((left || right) && mayBeBlank(content, normalized ? normalizer : Optional.empty())) {
        throw token.unsupported(
            "content",
            TextNode.valueOf(content),
            "more than white space in a token that takes white space around it");
      }
      json.addObject()
          .put("id", token.integer("id", 0, Integer.MAX_VALUE))
          .put("content", content)
          .put("single_word", word)
          .put("lstrip", left)
          .put("rstrip", right)
          .put("normalized", normalized)
          .put("special", special);
      if (normalized) {
        longestNormalized = Math.max(longestNormalized, length * growth);
      } else {
        longest = Math.max(longest, length);
      }
      absorbs |= left || right;
      framed &=
          !TextPieces.isLetter(content.charAt(0))
              && !TextPieces.isLetter(content.charAt(content.length() - 1));
      separable &= !word && !TextPieces.mayEndIn(content + (right ? " " : ""));
    }
    return new AddedTokens(json, longest, longestNormalized, absorbs, separable, framed);
  }

  /**
   * Returns whether a token may be white space alone. Where such a token takes the white space
   * around it, each one found in a run of them takes the rest of the run once more, for which the
   * library needs time and memory with the square of its length.
   */
  private static boolean mayBeBlank(String content, Optional<CheckedNormalizer> normalizer) {
    return content.chars().allMatch(c -> TextPieces.isSpace((char) c))
        || !normalizer.map(n -> n.leavesMoreThanSpace(content)).orElse(true);
  }
}
