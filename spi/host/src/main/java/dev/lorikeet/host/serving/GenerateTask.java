package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.sampling.StopText;
import dev.lorikeet.host.stream.TokenLog;
import dev.lorikeet.host.telemetry.RequestTrace;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Usage;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.text.StreamDecoder;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/** Turns drawn tokens into a streamed text and decides when it ends. */
final class GenerateTask implements Task {
  private final GenerationRequest request;
  private final RequestObserver observer;
  private final RequestTrace trace;
  private final TokenLog log;
  private final LongSupplier clock;
  private final StreamDecoder decoder;
  private final StopText stopText;
  private final int[] endTokens;
  private final Bounds bounds;
  private final RandomGenerator random;
  private final Optional<MixtureReport> report;
  private final StringBuilder piece = new StringBuilder();
  private Optional<Mixture> mixture = Optional.empty();
  private int generated;
  private long firstTokenNanos;
  private long lastTokenNanos;
  private FinishReason reason = FinishReason.LENGTH;

  /**
   * Where a generation begins and ends.
   *
   * @param submittedNanos when it was submitted
   * @param promptTokens tokens of the prompt
   * @param maxTokens how many tokens can be generated at most, by the request and by the model's
   *     longest sequence
   * @param endTokens the tokens that end it, the request's as well as the model's
   */
  record Bounds(long submittedNanos, int promptTokens, int maxTokens, Set<Integer> endTokens) {}

  GenerateTask(
      GenerationRequest request,
      RequestObserver observer,
      Selection selection,
      Bounds bounds,
      RequestTrace trace,
      TokenLog log,
      StreamDecoder decoder,
      LongSupplier clock) {
    this.clock = clock;
    this.request = request;
    this.observer = observer;
    this.trace = trace;
    this.log = log;
    this.report =
        request.reportMixture() ? Optional.of(new MixtureReport(selection)) : Optional.empty();
    this.decoder = decoder;
    this.stopText = new StopText(request.stop().strings());
    this.endTokens = bounds.endTokens().stream().mapToInt(Integer::intValue).sorted().toArray();
    this.bounds = bounds;
    this.random = RandomGeneratorFactory.of("L64X128MixRandom").create(request.sampling().seed());
  }

  GenerationRequest request() {
    return request;
  }

  @Override
  public RequestObserver observer() {
    return observer;
  }

  /** Returns what keeps the adapters of the last token, if the request asked for them. */
  Optional<MixtureReport> report() {
    return report;
  }

  RandomGenerator random() {
    return random;
  }

  int generated() {
    return generated;
  }

  @Override
  public RequestTrace trace() {
    return trace;
  }

  @Override
  public int leastTokensToCome() {
    return mayStop() ? 1 : mostTokensToCome();
  }

  @Override
  public int mostTokensToCome() {
    return bounds.maxTokens() - generated;
  }

  /** A generation that may stop is taken to become as long as usual, or as long again as it is. */
  @Override
  public int tokensToCome(double usual) {
    double expected = Math.max(usual - generated, generated);
    return mayStop() ? (int) Math.clamp(expected, 1, mostTokensToCome()) : mostTokensToCome();
  }

  private boolean mayStop() {
    return endTokens.length > 0 || !request.stop().strings().isEmpty();
  }

  @Override
  public boolean wantsAllLogits() {
    return false;
  }

  /**
   * Takes the next token.
   *
   * @return whether the generation has ended; then {@link #finish} is to be called, once {@link
   *     #observe} was
   */
  boolean accept(int token, float logProbability) {
    lastTokenNanos = clock.getAsLong();
    if (generated == 0) {
      firstTokenNanos = lastTokenNanos;
    }
    generated++;
    trace.token();
    piece.setLength(0);
    boolean ended = endOf(token);
    mixture = report.map(MixtureReport::mixture);
    log.append(token, logProbability, piece, mixture);
    return ended;
  }

  /** Shows the request's observer the token that was accepted last. */
  void observe(int token, float logProbability) {
    if (observer.onToken().isPresent()) {
      observer
          .onToken()
          .get()
          .accept(
              GeneratedToken.of(generated - 1, token, piece.toString(), logProbability, mixture));
    }
  }

  /** Writes the text that a token makes certain and returns whether the generation ends with it. */
  private boolean endOf(int token) {
    if (Arrays.binarySearch(endTokens, token) >= 0) {
      reason = FinishReason.STOP_TOKEN;
    } else {
      stopText.pass(decoder.next(token), piece);
      if (stopText.stopped()) {
        reason = FinishReason.STOP_STRING;
        return true;
      }
      if (generated < bounds.maxTokens()) {
        return false;
      }
      reason = FinishReason.LENGTH;
    }
    stopText.pass(decoder.finish(), piece);
    if (stopText.stopped()) {
      reason = FinishReason.STOP_STRING;
    } else {
      stopText.flush(piece);
    }
    return true;
  }

  /**
   * Tells the request of its success.
   *
   * @param startedNanos when the request's first token was computed
   */
  void finish(long startedNanos) {
    Usage usage =
        Usage.builder()
            .promptTokens(bounds.promptTokens())
            .generatedTokens(generated)
            .queued(Duration.ofNanos(startedNanos - bounds.submittedNanos()))
            .timeToFirstToken(Duration.ofNanos(firstTokenNanos - bounds.submittedNanos()))
            .total(Duration.ofNanos(lastTokenNanos - bounds.submittedNanos()))
            .build();
    try {
      trace.finished(reason, usage);
    } finally {
      log.finish(reason, usage);
    }
  }

  @Override
  public void fail(LorikeetException failure) {
    try {
      trace.failed(failure);
    } finally {
      log.fail(failure);
    }
  }

  /** Returns the failure of a request whose observer threw. */
  static LorikeetException observerFailed(String what, Throwable e) {
    return new LorikeetException(
        Code.INVALID_REQUEST, "the request's observer threw in " + what + ": " + e, e);
  }
}
