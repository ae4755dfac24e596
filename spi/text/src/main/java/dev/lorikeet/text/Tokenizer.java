package dev.lorikeet.text;

/** Text to token ids and back. Safe for any number of threads; not after {@link #close}. */
public interface Tokenizer extends AutoCloseable {
  /**
   * Encodes a text. A surrogate without its partner is taken for U+FFFD, since it is no text.
   *
   * @param addSpecialTokens whether to add what belongs around a text, such as BOS; false for the
   *     outcome of a {@link ChatTemplate}, which holds its own
   * @throws IllegalStateException if this tokenizer is closed
   */
  int[] encode(String text, boolean addSpecialTokens);

  /**
   * Decodes token ids. Ids that the vocabulary does not have decode to nothing.
   *
   * @param skipSpecialTokens whether special tokens are left out
   * @throws IllegalStateException if this tokenizer is closed
   */
  String decode(int[] ids, boolean skipSpecialTokens);

  /** Returns a decoder for the tokens of one request. */
  StreamDecoder stream(boolean skipSpecialTokens);

  /** Frees what the tokenizer holds once calls that run have returned; idempotent. */
  @Override
  void close();
}
