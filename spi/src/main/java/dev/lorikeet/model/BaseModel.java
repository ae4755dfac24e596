package dev.lorikeet.model;

import dev.lorikeet.routing.Router;
import dev.lorikeet.shape.ModelInfo;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * A frozen language model that serves requests for many adapters in one batch. Requests join and
 * leave the batch at every iteration; the tokens of one request never depend on the others. All
 * methods may be called from any thread. Rules M1 to M26 of the specification.
 */
public interface BaseModel extends AutoCloseable {
  /** Returns what is known of the model. */
  ModelInfo info();

  /** Submits a request that nobody observes. */
  default Generation submit(GenerationRequest request) {
    return submit(request, RequestObserver.none());
  }

  /**
   * Submits a request. Returns as soon as its prompt is encoded; the request waits until pages and
   * adapters can be had. Encoding runs on the calling thread, which should be one that may be busy
   * for a while: some milliseconds for 100 kB of text, and rarely more than a second, since prompts
   * that cannot fit the model's positions are refused by their length. The time counts towards the
   * request's timeout.
   *
   * @param observer what watches the request on the decoding thread
   * @throws dev.lorikeet.LorikeetException at once with code {@code INVALID_REQUEST}, {@code
   *     ADAPTER_NOT_FOUND}, {@code TOO_LARGE}, {@code QUEUE_FULL}, {@code ROUTER_FAILED}, {@code
   *     DEADLINE_EXCEEDED} or {@code CLOSED}, or with the code of {@link #health}'s reason if the
   *     model has failed; later failures come through the generation
   */
  Generation submit(GenerationRequest request, RequestObserver observer);

  /** Computes log-probabilities of a request that nobody observes. */
  default CompletableFuture<Score> score(ScoreRequest request) {
    return score(request, RequestObserver.none());
  }

  /**
   * Computes log-probabilities, in the same batch as everything else. The future fails with a
   * {@link dev.lorikeet.LorikeetException}, with code {@code INVALID_REQUEST} for an observer of
   * tokens or logits: a score draws none.
   *
   * @param observer what sees the request's hidden states on the decoding thread
   */
  CompletableFuture<Score> score(ScoreRequest request, RequestObserver observer);

  /**
   * Makes a router known under a name, replacing one of that name for later requests; the caller
   * closes it after this model.
   */
  void addRouter(String name, Router router);

  /**
   * Returns the token ids of a text, with the tokens that the tokenizer adds by itself. There may
   * be more than the model has positions.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code INVALID_REQUEST} for a text that by its
   *     length alone cannot have as few tokens as the model has positions, and for one that is too
   *     long to be encoded at once; {@code CANCELLED} where the thread is interrupted between two
   *     pieces of a long text; {@code DEADLINE_EXCEEDED} where that takes more than some seconds
   */
  List<Integer> encode(String text);

  /** Returns the text of token ids, without special tokens. */
  String decode(List<Integer> tokens);

  /**
   * Returns what the model offers beside this contract, such as its weights to learn adapters over
   * while it serves.
   *
   * @param type an interface of whoever asks
   */
  default <T> Optional<T> extension(Class<T> type) {
    return Optional.empty();
  }

  /** Returns counts for monitoring. */
  ModelStats stats();

  /** Returns whether the model takes requests, and if not, why. Never blocks. */
  Health health();

  /**
   * Fails waiting and running requests with code {@code CLOSED}, waits for the decoding thread to
   * end, and releases the model. Idempotent.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code WRONG_THREAD}, and the model goes on,
   *     if an observer or a router calls it on the decoding thread, which it would wait for.
   *     Whatever waits for a generation or a score is refused there likewise
   */
  @Override
  void close();
}
