package dev.lorikeet.jlama.text;

import java.util.List;
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
  private final List<DecodeStage> stages;
  private final boolean skipSpecialTokens;
  private final StringBuilder text = new StringBuilder();

  StreamDecoder(Detokenizer detokenizer, List<DecodeStage> stages, boolean skipSpecialTokens) {
    this.detokenizer = detokenizer;
    this.stages = stages;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  /** Takes the next token id and returns the text that it makes certain, often none. */
  public String next(int id) {
    Optional<String> token = detokenizer.token(id);
    if (token.isPresent() && !(skipSpecialTokens && detokenizer.isSpecial(id))) {
      pass(token.get(), 0);
    }
    return take();
  }

  /** Returns what was held back, at the end of the stream; nothing may follow. */
  public String finish() {
    for (int i = 0; i < stages.size(); i++) {
      int following = i + 1;
      stages.get(i).finish(piece -> pass(piece, following));
    }
    return take();
  }

  private void pass(String piece, int stage) {
    if (stage == stages.size()) {
      text.append(piece);
    } else {
      stages.get(stage).accept(piece, out -> pass(out, stage + 1));
    }
  }

  private String take() {
    String taken = text.toString();
    text.setLength(0);
    return taken;
  }
}
