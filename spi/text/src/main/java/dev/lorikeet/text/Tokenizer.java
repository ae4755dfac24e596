package dev.lorikeet.text;

import dev.lorikeet.LorikeetException;
import java.util.OptionalInt;

/** Text to token ids and back. Safe for any number of threads; not after {@link #close}. */
public interface Tokenizer extends AutoCloseable {
  /**
   * Encodes a text. A surrogate without its partner is taken for U+FFFD, since it is no text.
   *
   * @param addSpecialTokens whether to add what belongs around a text, such as BOS; false for the
   *     outcome of a {@link ChatTemplate}, which holds its own
   * @throws LorikeetException with {@code INVALID_REQUEST} for a text that this tokenizer does not
   *     encode, such as one that is too long without a break
   * @throws IllegalStateException if this tokenizer is closed
   */
  int[] encode(String text, boolean addSpecialTokens);

  /**
   * Encodes a text within a limit, where that is less work; without one, unless a tokenizer knows
   * better.
   *
   * @throws LorikeetException as {@link #encode(String, boolean)} and {@link #checkLength} do; with
   *     {@code INVALID_REQUEST}, too, once there are more tokens than the limit has
   * @throws RuntimeException whatever the limit's check of time throws
   * @throws IllegalStateException if this tokenizer is closed
   */
  default int[] encode(String text, boolean addSpecialTokens, EncodingLimit limit) {
    limit.checkTime().run();
    return encode(text, addSpecialTokens);
  }

  /**
   * Refuses a text that is certain to have more tokens than some number, by its length alone.
   *
   * @throws LorikeetException with {@code INVALID_REQUEST}
   */
  default void checkLength(String text, int tokens) {}

  /**
   * Decodes token ids. Ids that the vocabulary does not have decode to nothing.
   *
   * @param skipSpecialTokens whether special tokens are left out
   * @throws IllegalStateException if this tokenizer is closed
   */
  String decode(int[] ids, boolean skipSpecialTokens);

  /** Returns a decoder for the tokens of one request. */
  StreamDecoder stream(boolean skipSpecialTokens);

  /** Returns the id of a special token that is written like this; of none by default. */
  default OptionalInt specialToken(String text) {
    return OptionalInt.empty();
  }

  /** Frees what the tokenizer holds once calls that run have returned; idempotent. */
  @Override
  void close();
}
