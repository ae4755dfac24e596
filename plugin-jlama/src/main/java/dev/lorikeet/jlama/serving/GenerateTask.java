package dev.lorikeet.jlama.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.telemetry.RequestTrace;
import dev.lorikeet.jlama.text.StreamDecoder;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.Usage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/** Turns drawn tokens into a streamed text and decides when it ends. */
final class GenerateTask implements Task {
  private final GenerationRequest request;
  private final RequestTrace trace;
  private final TokenLog log;
  private final LongSupplier clock;
  private final StreamDecoder decoder;
  private final StopText stopText;
  private final Set<Integer> eosTokens;
  private final int promptTokens;
  private final int maxTokens;
  private final long submittedNanos;
  private final RandomGenerator random;
  private final Optional<MixtureReport> report;
  private final List<Integer> tokens = new ArrayList<>();
  private final StringBuilder text = new StringBuilder();
  private long firstTokenNanos;

  /**
   * Creates a task.
   *
   * @param maxTokens how many tokens can be generated at most, by the request and by the model's
   *     longest sequence
   */
  GenerateTask(
      GenerationRequest request,
      Selection selection,
      RequestTrace trace,
      TokenLog log,
      StreamDecoder decoder,
      Set<Integer> eosTokens,
      int promptTokens,
      int maxTokens,
      long submittedNanos,
      LongSupplier clock) {
    this.clock = clock;
    this.request = request;
    this.trace = trace;
    this.log = log;
    this.report =
        request.reportMixture() ? Optional.of(new MixtureReport(selection)) : Optional.empty();
    this.decoder = decoder;
    this.stopText = new StopText(request.stop().strings());
    this.eosTokens = request.stop().ignoreEos() ? Set.of() : eosTokens;
    this.promptTokens = promptTokens;
    this.maxTokens = maxTokens;
    this.submittedNanos = submittedNanos;
    this.random = RandomGeneratorFactory.of("L64X128MixRandom").create(request.sampling().seed());
  }

  GenerationRequest request() {
    return request;
  }

  /** Returns what keeps the adapters of the last token, if the request asked for them. */
  Optional<MixtureReport> report() {
    return report;
  }

  RandomGenerator random() {
    return random;
  }

  int generated() {
    return tokens.size();
  }

  @Override
  public RequestTrace trace() {
    return trace;
  }

  @Override
  public int leastTokensToCome() {
    boolean mayStop =
        !eosTokens.isEmpty()
            || !request.stop().tokens().isEmpty()
            || !request.stop().strings().isEmpty();
    return mayStop ? 1 : maxTokens - tokens.size();
  }

  @Override
  public boolean wantsAllLogits() {
    return false;
  }

  /**
   * Takes the next token.
   *
   * @param startedNanos when the request's first token was computed
   * @return the result, if the generation has ended
   */
  Optional<GenerationResult> accept(int token, float logProbability, long startedNanos) {
    long now = clock.getAsLong();
    if (tokens.isEmpty()) {
      firstTokenNanos = now;
    }
    tokens.add(token);
    trace.token();
    boolean ending = eosTokens.contains(token) || request.stop().tokens().contains(token);
    String piece = ending ? "" : stopText.append(decoder.next(token));
    Optional<FinishReason> reason = Optional.empty();
    if (ending) {
      reason = Optional.of(FinishReason.STOP_TOKEN);
    } else if (stopText.stopped()) {
      reason = Optional.of(FinishReason.STOP_STRING);
    } else if (tokens.size() == maxTokens) {
      reason = Optional.of(FinishReason.LENGTH);
    }
    if (reason.isPresent() && !stopText.stopped()) {
      piece += stopText.append(decoder.finish());
      if (stopText.stopped()) {
        reason = Optional.of(FinishReason.STOP_STRING);
      } else {
        piece += stopText.flush();
      }
    }
    text.append(piece);
    GeneratedToken generated =
        new GeneratedToken(
            tokens.size() - 1, token, piece, logProbability, report.map(MixtureReport::mixture));
    log.append(generated);
    request.onToken().ifPresent(consumer -> consumer.accept(generated));
    if (reason.isEmpty()) {
      return Optional.empty();
    }
    return Optional.of(
        new GenerationResult(
            text.toString(),
            tokens,
            reason.get(),
            new Usage(
                promptTokens,
                tokens.size(),
                Duration.ofNanos(startedNanos - submittedNanos),
                Duration.ofNanos(firstTokenNanos - submittedNanos),
                Duration.ofNanos(now - submittedNanos))));
  }

  void finish(GenerationResult result) {
    trace.finished(result);
    log.finish(result);
  }

  @Override
  public void fail(LorikeetException failure) {
    trace.failed(failure);
    log.fail(failure);
  }

  /** Returns the failure of a request whose callback threw. */
  static LorikeetException callbackFailed(String what, Throwable e) {
    return new LorikeetException(Code.INVALID_REQUEST, "the request's " + what + " threw " + e, e);
  }
}
