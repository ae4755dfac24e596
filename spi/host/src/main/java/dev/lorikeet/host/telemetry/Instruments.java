package dev.lorikeet.host.telemetry;

import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.metrics.DoubleHistogram;
import io.opentelemetry.api.metrics.LongCounter;
import io.opentelemetry.api.metrics.LongHistogram;
import io.opentelemetry.api.metrics.Meter;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** The instruments that are written to when something happens, and the attributes they get. */
final class Instruments {
  /** Attributes of one operation, made once. */
  private record Labels(Attributes all, Attributes input, Attributes output) {}

  private static final List<Double> DURATION =
      List.of(
          0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92);
  private static final List<Double> FIRST_TOKEN =
      List.of(
          0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
          10.0);
  private static final List<Double> PER_OUTPUT_TOKEN =
      List.of(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5);
  private static final List<Long> TOKEN_USAGE =
      List.of(
          1L,
          4L,
          16L,
          64L,
          256L,
          1024L,
          4096L,
          16_384L,
          65_536L,
          262_144L,
          1_048_576L,
          4_194_304L,
          16_777_216L,
          67_108_864L);
  private static final List<Long> BATCH =
      List.of(1L, 2L, 4L, 8L, 16L, 32L, 64L, 128L, 256L, 512L, 1024L, 2048L, 4096L);

  private final Attributes model;
  private final Map<Operation, Labels> labels = new EnumMap<>(Operation.class);
  private final DoubleHistogram duration;
  private final DoubleHistogram firstToken;
  private final DoubleHistogram perOutputToken;
  private final LongHistogram tokenUsage;
  private final LongHistogram batchSequences;
  private final LongHistogram batchTokens;
  private final LongCounter preemptions;

  Instruments(Meter meter, String modelName) {
    model = Attributes.of(Keys.REQUEST_MODEL, modelName);
    for (Operation operation : Operation.values()) {
      Attributes all =
          model.toBuilder()
              .put(Keys.OPERATION, operation.text())
              .put(Keys.PROVIDER, Telemetry.PROVIDER)
              .build();
      labels.put(
          operation,
          new Labels(
              all,
              all.toBuilder().put(Keys.TOKEN_TYPE, "input").build(),
              all.toBuilder().put(Keys.TOKEN_TYPE, "output").build()));
    }
    duration =
        meter
            .histogramBuilder("gen_ai.server.request.duration")
            .setUnit("s")
            .setDescription("From submission to the last token, or to the failure.")
            .setExplicitBucketBoundariesAdvice(DURATION)
            .build();
    firstToken =
        meter
            .histogramBuilder("gen_ai.server.time_to_first_token")
            .setUnit("s")
            .setDescription("From submission to the first token of a generation that succeeded.")
            .setExplicitBucketBoundariesAdvice(FIRST_TOKEN)
            .build();
    perOutputToken =
        meter
            .histogramBuilder("gen_ai.server.time_per_output_token")
            .setUnit("s")
            .setDescription("Mean time per token after the first of a generation that succeeded.")
            .setExplicitBucketBoundariesAdvice(PER_OUTPUT_TOKEN)
            .build();
    tokenUsage =
        meter
            .histogramBuilder("gen_ai.client.token.usage")
            .ofLongs()
            .setUnit("{token}")
            .setDescription("Tokens of prompts and tokens generated, by request.")
            .setExplicitBucketBoundariesAdvice(TOKEN_USAGE)
            .build();
    batchSequences =
        meter
            .histogramBuilder("lorikeet.batch.sequences")
            .ofLongs()
            .setUnit("{sequence}")
            .setDescription("Sequences in one step of the decoder.")
            .setExplicitBucketBoundariesAdvice(BATCH)
            .build();
    batchTokens =
        meter
            .histogramBuilder("lorikeet.batch.tokens")
            .ofLongs()
            .setUnit("{token}")
            .setDescription("Tokens in one step of the decoder, prefill chunks included.")
            .setExplicitBucketBoundariesAdvice(BATCH)
            .build();
    preemptions =
        meter
            .counterBuilder("lorikeet.preemptions")
            .setUnit("{preemption}")
            .setDescription("Times that a running sequence gave its pages back and waited again.")
            .build();
  }

  /** Returns what tells the series of this model from those of others. */
  Attributes model() {
    return model;
  }

  Attributes of(Operation operation) {
    return labels(operation).all();
  }

  private Labels labels(Operation operation) {
    Labels found = labels.get(operation);
    if (found == null) {
      throw new IllegalArgumentException("operation: no attributes for " + operation);
    }
    return found;
  }

  void succeeded(Operation operation, double seconds) {
    duration.record(seconds, of(operation));
  }

  void failed(Operation operation, double seconds, String errorType) {
    duration.record(seconds, of(operation).toBuilder().put(Keys.ERROR_TYPE, errorType).build());
  }

  void generated(Operation operation, double secondsToFirst, double secondsInAll, int tokens) {
    firstToken.record(secondsToFirst, of(operation));
    if (tokens > 1) {
      perOutputToken.record((secondsInAll - secondsToFirst) / (tokens - 1), of(operation));
    }
  }

  void used(Operation operation, int inputTokens, int outputTokens) {
    tokenUsage.record(inputTokens, labels(operation).input());
    if (outputTokens > 0) {
      tokenUsage.record(outputTokens, labels(operation).output());
    }
  }

  void step(int sequences, int tokens) {
    batchSequences.record(sequences, model);
    batchTokens.record(tokens, model);
  }

  void preempted() {
    preemptions.add(1, model);
  }
}
