package dev.lorikeet.host.telemetry;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Mixture;
import io.opentelemetry.api.trace.Span;
import java.util.List;

/** What telemetry tells of a request before anything is checked. */
public sealed interface RequestLabels {
  /** Returns what is asked for. */
  Operation operation();

  /** Writes the request's parameters into its span. */
  void write(Span span);

  /**
   * A request for generation.
   *
   * @param request the request
   */
  record Generate(GenerationRequest request) implements RequestLabels {
    @Override
    public Operation operation() {
      return Operation.completing(request.prompt());
    }

    @Override
    public void write(Span span) {
      span.setAttribute(Keys.MAX_TOKENS, (long) request.stop().maxTokens());
      Sampling sampling = request.sampling();
      span.setAttribute(Keys.TEMPERATURE, shortest(sampling.temperature()));
      if (!sampling.isGreedy()) {
        span.setAttribute(Keys.TOP_P, shortest(sampling.topP()));
        span.setAttribute(Keys.SEED, sampling.seed());
        if (sampling.topK() > 0) {
          span.setAttribute(Keys.TOP_K, (double) sampling.topK());
        }
      }
      if (!request.stop().strings().isEmpty()) {
        span.setAttribute(Keys.STOP_SEQUENCES, request.stop().strings());
      }
      if (!request.tenant().isEmpty()) {
        span.setAttribute(Keys.TENANT, request.tenant());
      }
      if (request.priority() != 0) {
        span.setAttribute(Keys.PRIORITY, (long) request.priority());
      }
      writeChoice(span, request.adapter());
    }

    /** Widens without digits that nobody wrote: 0.7f becomes 0.7. */
    private static double shortest(float value) {
      return Double.parseDouble(Float.toString(value));
    }
  }

  /**
   * A request for log-probabilities.
   *
   * @param request the request
   */
  record LogProbabilities(ScoreRequest request) implements RequestLabels {
    @Override
    public Operation operation() {
      return Operation.SCORE;
    }

    @Override
    public void write(Span span) {
      writeChoice(span, request.adapter());
    }
  }

  private static void writeChoice(Span span, AdapterChoice choice) {
    switch (choice) {
      case AdapterChoice.None none -> {}
      case AdapterChoice.Named(String adapter) ->
          span.setAttribute(Keys.ADAPTERS, List.of(adapter));
      case AdapterChoice.Mixed(Mixture mixture) -> writeAdapters(span, List.of(mixture));
      case AdapterChoice.PerToken(List<Mixture> mixtures) -> writeAdapters(span, mixtures);
      case AdapterChoice.Routed(String router) -> span.setAttribute(Keys.ROUTER, router);
    }
  }

  private static void writeAdapters(Span span, List<Mixture> mixtures) {
    span.setAttribute(
        Keys.ADAPTERS,
        mixtures.stream()
            .flatMap(mixture -> mixture.shares().stream())
            .map(Mixture.Share::adapter)
            .distinct()
            .toList());
  }
}
