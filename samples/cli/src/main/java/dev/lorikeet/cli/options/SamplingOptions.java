package dev.lorikeet.cli.options;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Sampling;
import dev.lorikeet.model.StopConditions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Options of how tokens are drawn and when a generation ends. */
public final class SamplingOptions {
  @Spec(Spec.Target.MIXEE)
  private CommandSpec spec = CommandSpec.create();

  @Option(
      names = {"-n", "--max-tokens"},
      paramLabel = "N",
      description = "Generate at most this many tokens (${DEFAULT-VALUE}).")
  private int maxTokens = GenerationRequest.DEFAULT_MAX_TOKENS;

  @Option(
      names = "--temperature",
      paramLabel = "T",
      description = "Divisor of the logits; 0 takes the likeliest token (${DEFAULT-VALUE}).")
  private float temperature;

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "Draw from the K likeliest tokens, 0 for all (${DEFAULT-VALUE}).")
  private int topK;

  @Option(
      names = "--top-p",
      paramLabel = "P",
      description =
          "Draw from the likeliest tokens whose probabilities reach P (${DEFAULT-VALUE}).")
  private float topP = 1;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "Seed: the same seed gives the same tokens (${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--stop",
      paramLabel = "TEXT",
      description = "End at this text or special token; may be repeated.")
  private List<String> stop = new ArrayList<>();

  @Option(
      names = "--stop-id",
      paramLabel = "N",
      description = "End at the token of this id; may be repeated.")
  private List<Integer> stopIds = new ArrayList<>();

  @Option(names = "--ignore-eos", description = "Go on after end-of-sequence tokens.")
  private boolean ignoreEos;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "Fail a request that takes longer, waiting included.")
  private Optional<Double> timeout = Optional.empty();

  @Option(
      names = "--attribute",
      paramLabel = "KEY=VALUE",
      description = "Tell the router something of the request; may be repeated.")
  private Map<String, String> attributes = new LinkedHashMap<>();

  /** Sets these options on a request; values out of range are wrong usage. */
  public void apply(GenerationRequest.Builder request) {
    try {
      request.sampling(Sampling.of(temperature, seed).withTopK(topK).withTopP(topP));
      StopConditions conditions =
          StopConditions.maxTokens(maxTokens).withStrings(stop).withTokens(Set.copyOf(stopIds));
      request.stop(ignoreEos ? conditions.ignoringEos() : conditions);
      timeout.ifPresent(seconds -> request.timeout(Duration.ofMillis(Math.round(seconds * 1000))));
      attributes.forEach(request::attribute);
      GenerationRequest _ = request.build(); // checks the timeout
    } catch (LorikeetException e) {
      throw Usage.of(spec, e);
    }
  }
}
