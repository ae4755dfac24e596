package dev.lorikeet.text;

import java.util.Optional;

/**
 * Turns the tokens of one request into text as they come. Each call returns the text that has
 * become certain and that no earlier call returned; all of it together is what decoding all tokens
 * at once gives, character for character. So a character whose bytes spread over several tokens
 * appears with the last of them, and bytes that are no text appear as U+FFFD once that is sure. For
 * one thread at a time; needs no closing, and works on after its tokenizer was closed.
 */
public final class StreamDecoder {
  private final Detokenizer detokenizer;
  private final DecodeStage first;
  private final boolean skipSpecialTokens;
  private final StringBuilder token = new StringBuilder();
  private final StringBuilder text;

  /**
   * Creates a decoder.
   *
   * @param first the chain of stages
   * @param text where the last of them writes
   */
  StreamDecoder(
      Detokenizer detokenizer, DecodeStage first, StringBuilder text, boolean skipSpecialTokens) {
    this.detokenizer = detokenizer;
    this.first = first;
    this.text = text;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  /**
   * Takes the next token id and returns the text that it makes certain, often none; valid until the
   * next call. Allocates nothing once its buffers have grown.
   */
  public CharSequence next(int id) {
    text.setLength(0);
    Optional<String> known = detokenizer.token(id);
    if (known.isPresent() && !(skipSpecialTokens && detokenizer.isSpecial(id))) {
      token.setLength(0);
      first.accept(token.append(known.get()));
    }
    return text;
  }

  /** Returns what was held back, at the end of the stream; nothing may follow. */
  public CharSequence finish() {
    text.setLength(0);
    first.finish();
    return text;
  }
}
