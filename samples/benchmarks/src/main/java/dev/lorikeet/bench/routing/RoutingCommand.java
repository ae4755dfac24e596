package dev.lorikeet.bench.routing;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.model.WholeFolder;
import dev.lorikeet.bench.output.Output;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.bench.routing.RoutingReport.Cost;
import dev.lorikeet.bench.routing.RoutingReport.Criterion;
import dev.lorikeet.bench.routing.RoutingReport.Stay;
import dev.lorikeet.gates.RouterEvaluation;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Mixture;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Measures what routing costs, per token and per layer, and when merging pays. */
@Command(
    name = "routing",
    sortOptions = false,
    description =
        "Measures token-wise and layer-wise routing beside the bare base model, deltas beside merged weights, and what the planner makes of a mixture that stays.")
public final class RoutingCommand implements Callable<Integer> {
  private static final int EXPERTS = 8;
  private static final int TOP_K = 2;
  private static final double MOST_TOKEN_WISE = 1.2;
  private static final double MOST_PLANNED = 1.05;
  private static final double MOST_PERPLEXITY = 0.97;
  private static final int WARM_UPS = 2;
  private static final int WARM_UP_STAYS = 14;
  private static final int LONG_WARM_UP = 128;
  private static final int SHORT_WARM_UP = 16;

  @Option(
      names = "--model",
      paramLabel = "NAME",
      defaultValue = "135m",
      converter = Preset.Converter.class,
      description = "Random weights of a size: 8m, 135m or 1.1b (${DEFAULT-VALUE}).")
  private Preset model = Preset.M135;

  @Option(
      names = "--rank",
      paramLabel = "N",
      defaultValue = "16",
      description = "Rank of the experts, on all projections (${DEFAULT-VALUE}).")
  private int rank;

  @Option(
      names = "--batch",
      split = ",",
      paramLabel = "N",
      defaultValue = "1,4,8,16",
      description = "Numbers of sequences that decode together (${DEFAULT-VALUE}).")
  private List<Integer> batches = List.of();

  @Option(
      names = "--stay",
      split = ",",
      paramLabel = "N",
      defaultValue = "16,128,512",
      description =
          "For how many tokens a mixture stays, where deltas, merging and the planner are compared (${DEFAULT-VALUE}).")
  private List<Integer> stays = List.of();

  @Option(
      names = "--tokens",
      paramLabel = "N",
      defaultValue = "32",
      description = "Tokens that each sequence generates (${DEFAULT-VALUE}).")
  private int tokens;

  @Option(
      names = "--rounds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Rounds; in each, everything is measured once (${DEFAULT-VALUE}).")
  private int rounds;

  @Option(
      names = "--documents",
      paramLabel = "N",
      defaultValue = "1000",
      description =
          "Use at most this many documents to judge the tiny model's gates (${DEFAULT-VALUE}).")
  private int documents;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads; all processors if not given.")
  private int threads = Runtime.getRuntime().availableProcessors();

  @Option(names = "--quick", description = "Two rounds of 12 tokens: a look, not a measurement.")
  private boolean quick;

  @Mixin private Output output = new Output();

  @Override
  public Integer call() throws IOException {
    if (quick) {
      rounds = 2;
      tokens = 12;
    }
    String started = Instant.now().toString();
    Path file = output.file("routing");
    output.says("judging the tiny model's gates");
    RouterEvaluation quality = TinyQuality.measure(documents, output);
    try (Hosts hosts = hosts()) {
      List<Cost> costs = costs(hosts);
      List<Stay> stayed = stays(hosts);
      RoutingReport report =
          new RoutingReport(
              "routing",
              started,
              Machine.here(),
              model.title(),
              EXPERTS,
              rank,
              tokens,
              rounds,
              costs,
              stayed,
              quality,
              criteria(costs, stayed, quality),
              output.image(file, image -> RoutingPlot.write(image, costs)));
      new RoutingText(output).print(report);
      output.write(file, report);
    }
    return 0;
  }

  private List<String> adapters() {
    List<String> names = new ArrayList<>();
    for (int i = 0; i < EXPERTS; i++) {
      names.add("expert-" + i);
    }
    return names;
  }

  private Hosts hosts() throws IOException {
    Path folder = output.data().resolve(model.title());
    Path base = model.model(folder, output::says);
    Map<String, Path> adapters = new LinkedHashMap<>();
    for (int i = 0; i < EXPERTS; i++) {
      Path adapter = folder.resolve("rank-" + rank + "-expert-" + i);
      int seed = 500 + i;
      WholeFolder.make(
          adapter,
          output::says,
          target -> RandomWeights.writeAdapter(target, model.shape(), rank, seed));
      adapters.put(adapters().get(i), adapter);
    }
    Path tokenGate = folder.resolve(Variant.TOKEN_GATE);
    Path layerGate = folder.resolve(Variant.LAYER_GATE);
    int hidden = model.shape().hidden();
    RandomGate.write(tokenGate, adapters(), TOP_K, 0, hidden);
    RandomGate.write(layerGate, adapters(), TOP_K, model.shape().layers(), hidden);
    return new Hosts(base, adapters, tokenGate, layerGate, model.shape().vocabulary(), threads);
  }

  private List<Cost> costs(Hosts hosts) {
    Map<Integer, Map<Variant, List<Double>>> seconds = new LinkedHashMap<>();
    var progress = output.progress("variants", (long) (rounds + WARM_UPS) * batches.size());
    for (int round = -WARM_UPS; round < rounds; round++) {
      output.says(round < 0 ? "warming up" : "round " + (round + 1) + " of " + rounds);
      for (int batch : batches) {
        for (Variant variant : Variant.values()) {
          if (variant.runsAt(batch)) {
            double step = step(hosts, variant, batch, round);
            if (round >= 0) {
              seconds
                  .computeIfAbsent(batch, b -> new LinkedHashMap<>())
                  .computeIfAbsent(variant, w -> new ArrayList<>())
                  .add(step);
            }
          }
        }
        progress.ifPresent(bar -> bar.step());
      }
    }
    progress.ifPresent(bar -> bar.close());
    List<Cost> costs = new ArrayList<>();
    seconds.forEach(
        (batch, variants) ->
            variants.forEach(
                (variant, steps) ->
                    costs.add(
                        cost(
                            variant,
                            batch,
                            steps,
                            variants.getOrDefault(Variant.BASE, List.of())))));
    return costs;
  }

  private double step(Hosts hosts, Variant variant, int batch, int round) {
    List<String> names = adapters();
    double seconds =
        hosts
            .decode(
                variant.host(),
                batch,
                tokens,
                round,
                (request, sequence) -> variant.apply(request, names))
            .decode();
    return seconds / (tokens - 1);
  }

  private static Cost cost(Variant variant, int batch, List<Double> steps, List<Double> base) {
    List<Double> ratios = new ArrayList<>();
    for (int round = 0; round < steps.size(); round++) {
      ratios.add(steps.get(round) / base.get(round));
    }
    double median = Statistic.of(steps).median();
    return new Cost(variant, batch, batch / median, Statistic.of(ratios), steps);
  }

  private List<Stay> stays(Hosts hosts) {
    List<Stay> found = new ArrayList<>();
    List<String> modes = List.of("delta", "merge", "auto");
    int next = 1;
    output.says("warming up");
    for (int warmUp = 0; warmUp < WARM_UP_STAYS; warmUp++, next++) {
      int stay = warmUp < WARM_UPS ? LONG_WARM_UP : SHORT_WARM_UP; // too short for a switch
      for (String switching : modes) {
        milliseconds(hosts, switching, stay, next);
      }
    }
    for (int stay : stays) {
      Map<String, List<Double>> times = new LinkedHashMap<>();
      output.says("a mixture that stays for " + stay + " tokens");
      for (int round = 0; round < rounds; round++, next++) {
        for (String switching : modes) {
          times
              .computeIfAbsent(switching, s -> new ArrayList<>())
              .add(milliseconds(hosts, switching, stay, next));
        }
      }
      found.add(stay(stay, times));
    }
    return found;
  }

  /**
   * Returns how long one sequence takes with a mixture that stays, a switch before its first token
   * included.
   *
   * @param number other numbers give other mixtures, so that none is merged already
   */
  private double milliseconds(Hosts hosts, String switching, int stay, int number) {
    Mixture mixture = Variant.pair(adapters(), number);
    return 1000
        * hosts
            .decode(
                new Variant.Host(switching, false),
                1,
                stay,
                number,
                (request, sequence) -> request.adapter(new AdapterChoice.Mixed(mixture)))
            .whole();
  }

  private static Stay stay(int tokens, Map<String, List<Double>> times) {
    List<Double> delta = times.getOrDefault("delta", List.of());
    List<Double> merge = times.getOrDefault("merge", List.of());
    List<Double> auto = times.getOrDefault("auto", List.of());
    List<Double> ratios = new ArrayList<>();
    for (int round = 0; round < auto.size(); round++) {
      ratios.add(auto.get(round) / Math.min(delta.get(round), merge.get(round)));
    }
    return new Stay(
        tokens,
        Statistic.of(delta).median(),
        Statistic.of(merge).median(),
        Statistic.of(auto).median(),
        Statistic.of(ratios));
  }

  private static List<Criterion> criteria(
      List<Cost> costs, List<Stay> stays, RouterEvaluation quality) {
    List<Criterion> criteria = new ArrayList<>();
    double perplexity = 1 - quality.gain();
    criteria.add(
        new Criterion(
            "perplexity under the best gate over that of the best without a router",
            perplexity,
            MOST_PERPLEXITY,
            perplexity <= MOST_PERPLEXITY));
    for (Cost cost : costs) {
      if (cost.variant() == Variant.TOKEN && (cost.batch() == 1 || cost.batch() == 8)) {
        double value = cost.timeOverBase().median();
        criteria.add(
            new Criterion(
                "token-wise routing over the bare base model, batch " + cost.batch(),
                value,
                MOST_TOKEN_WISE,
                value <= MOST_TOKEN_WISE));
      }
    }
    for (Stay stay : stays) {
      double value = stay.plannedOverBest().median();
      criteria.add(
          new Criterion(
              "the planner's choice over the better one, " + stay.tokens() + " tokens",
              value,
              MOST_PLANNED,
              value <= MOST_PLANNED));
    }
    return criteria;
  }
}
