package dev.lorikeet.model;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Flow;
import java.util.stream.Stream;

/**
 * A generation that was submitted: blocking, streaming and asynchronous views of the same tokens.
 * Thread-safe. Tokens are kept until they are consumed, so a slow subscriber never slows the batch;
 * each subscriber, and each stream, sees all tokens from the first.
 */
public interface Generation extends Flow.Publisher<GeneratedToken> {
  /**
   * Waits for the end.
   *
   * @throws dev.lorikeet.LorikeetException if the request failed, with code {@code CANCELLED} if it
   *     was cancelled or if this thread was interrupted (which cancels it)
   */
  GenerationResult await();

  /**
   * Returns the end as a future; cancelling the future cancels the generation. It fails with a
   * {@link dev.lorikeet.LorikeetException}.
   */
  CompletableFuture<GenerationResult> completion();

  /**
   * Returns the tokens as a stream that blocks for the next one. Closing it before the end cancels
   * the generation.
   *
   * <p>The stream throws {@link dev.lorikeet.LorikeetException} if the request fails.
   */
  Stream<GeneratedToken> stream();

  /**
   * Asks for an early end; idempotent, returns at once. No effect on a generation that has ended.
   */
  void cancel();
}
