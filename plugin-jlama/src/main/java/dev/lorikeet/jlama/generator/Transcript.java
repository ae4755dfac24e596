package dev.lorikeet.jlama.generator;

import com.github.tjake.jlama.model.functions.Generator.FinishReason;
import com.github.tjake.jlama.model.functions.Generator.Response;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.GenerationResult;
import java.util.Optional;
import java.util.function.BiConsumer;

/**
 * Turns the tokens of one call into Jlama's response and its callbacks: one for each token that is
 * text, with the milliseconds per token so far; for the first token those of the prompt. For one
 * thread.
 */
final class Transcript {
  private static final double NANOS_PER_MILLI = 1e6;

  private final LorikeetTokenizer tokenizer;
  private final int promptTokens;
  private final BiConsumer<String, Float> onToken;
  private final StringBuilder text = new StringBuilder();
  private final StringBuilder textWithSpecialTokens = new StringBuilder();
  private final long start = System.nanoTime();
  private long first = start;

  Transcript(LorikeetTokenizer tokenizer, int promptTokens, BiConsumer<String, Float> onToken) {
    this.tokenizer = tokenizer;
    this.promptTokens = promptTokens;
    this.onToken = onToken;
  }

  /** Takes a token that does not end the generation. */
  void add(GeneratedToken token) {
    long now = System.nanoTime();
    if (token.index() == 0) {
      first = now;
    }
    Optional<String> special = tokenizer.special(token.id());
    if (special.isEmpty() || !token.text().isEmpty()) {
      emit(token, now);
    }
    special.ifPresent(textWithSpecialTokens::append);
  }

  /** Takes the token that ends the generation, of which only held back text is shown. */
  void end(GeneratedToken token) {
    long now = System.nanoTime();
    if (token.index() == 0) {
      first = now;
    }
    if (!token.text().isEmpty()) {
      emit(token, now);
    }
  }

  private void emit(GeneratedToken token, long now) {
    double millis =
        token.index() == 0
            ? (first - start) / NANOS_PER_MILLI / Math.max(1, promptTokens)
            : (now - first) / NANOS_PER_MILLI / token.index();
    text.append(token.text());
    textWithSpecialTokens.append(token.text());
    onToken.accept(token.text(), (float) millis);
  }

  /**
   * Returns the response. As Jlama counts, the token that comes out of the prompt's own pass is not
   * among the generated ones, but the token that ends the generation is.
   */
  Response response(GenerationResult result) {
    FinishReason reason =
        result.finishReason() == dev.lorikeet.model.FinishReason.STOP_TOKEN
            ? FinishReason.STOP_TOKEN
            : FinishReason.MAX_TOKENS;
    return new Response(
        text.toString(),
        textWithSpecialTokens.toString(),
        reason,
        promptTokens,
        result.tokens().size() - 1,
        Math.round((first - start) / NANOS_PER_MILLI),
        Math.round((System.nanoTime() - first) / NANOS_PER_MILLI));
  }
}
