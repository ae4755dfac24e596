package dev.lorikeet.text;

import java.util.Optional;

/** A stream decoder that is a chain of stages, as the decoder of a tokenizer file is. */
final class StagedStreamDecoder implements StreamDecoder {
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
  StagedStreamDecoder(
      Detokenizer detokenizer, DecodeStage first, StringBuilder text, boolean skipSpecialTokens) {
    this.detokenizer = detokenizer;
    this.first = first;
    this.text = text;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  @Override
  public CharSequence next(int id) {
    text.setLength(0);
    Optional<String> known = detokenizer.token(id);
    if (known.isPresent() && !(skipSpecialTokens && detokenizer.isSpecial(id))) {
      token.setLength(0);
      first.accept(token.append(known.get()));
    }
    return text;
  }

  @Override
  public CharSequence finish() {
    text.setLength(0);
    first.finish();
    return text;
  }
}
