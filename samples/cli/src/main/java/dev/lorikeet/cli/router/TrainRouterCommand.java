package dev.lorikeet.cli.router;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.gates.GatePlan;
import dev.lorikeet.gates.GateQuality;
import dev.lorikeet.gates.GateTrainer;
import dev.lorikeet.gates.MixedDocument;
import dev.lorikeet.routing.RunningContext;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Trains a gate that routes tokens to adapters. */
@Command(
    name = "train",
    sortOptions = false,
    description =
        "Learns from text of each adapter's kind which adapters serve which tokens, and saves a gate for the router 'gate'. Base model and adapters stay as they are.")
final class TrainRouterCommand implements Callable<Integer> {
  private static final float DECAY = 0.9f;
  private static final double VALIDATION = 0.1;

  private final Console console;

  @Mixin private LabelledModelOptions model = new LabelledModelOptions();

  @Option(
      names = {"-o", "--out"},
      required = true,
      paramLabel = "DIR",
      description = "Directory for router.json and router.safetensors.")
  private Path out = Path.of("");

  @Option(
      names = "--force",
      description =
          "Replace a gate that is there. Without it, the command asks, or refuses where nobody can answer.")
  private boolean force;

  @Option(
      names = "--scope",
      paramLabel = "token|layer",
      description =
          "Where the gate decides: 'token', once before the first layer, for all layers; 'layer', anew at every layer. Each layer then has a gate of its own, which learns for itself from what enters the layer: nothing is passed back through the base model (${DEFAULT-VALUE}).")
  private GatePlan.Scope scope = GatePlan.Scope.TOKEN;

  @Option(
      names = "--targets",
      paramLabel = "likelihood|labels",
      description =
          "What the gate learns: 'likelihood', which adapter finds the next token likeliest, or 'labels', whose text a token is from (${DEFAULT-VALUE}).")
  private GatePlan.Targets targets = GatePlan.Targets.LIKELIHOOD;

  @Option(
      names = "--context",
      paramLabel = "none|mean",
      description =
          "What a token-wise gate sees beside a token's embedding: nothing, or the decayed mean of the embeddings so far (mean). A layer's gate sees the hidden state that enters the layer, and nothing else.")
  private Optional<Context> context = Optional.empty();

  @Option(
      names = "--decay",
      paramLabel = "D",
      description = "How slowly that mean forgets, from 0 to below 1 (0.9).")
  private Optional<Float> decay = Optional.empty();

  @Option(
      names = "--top-k",
      paramLabel = "K",
      description = "How many adapters a token uses (${DEFAULT-VALUE}).")
  private int topK = 2;

  @Option(
      names = "--inner",
      paramLabel = "N",
      description = "Width of an inner layer; 0 for a linear gate (${DEFAULT-VALUE}).")
  private int inner;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      description =
          "Passes over the training documents (20; 4 with --scope layer, where the model computes them anew each time).")
  private Optional<Integer> epochs = Optional.empty();

  @Option(
      names = "--rate",
      paramLabel = "R",
      description = "Learning rate at the beginning (${DEFAULT-VALUE}).")
  private double rate = 2e-3;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "The same seed and texts give the same gate (${DEFAULT-VALUE}).")
  private long seed = 1;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  private record Training(String directory, List<String> experts, GateTrainer.Outcome training) {}

  /** What a gate sees of the past. */
  private enum Context {
    NONE,
    MEAN;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  TrainRouterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    LabelledModelOptions.Labelled labelled = model.read(console, false);
    GatePlan plan = plan(labelled.names().size());
    if (Files.exists(out) && !Files.isDirectory(out)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "--out " + out + ": expected a directory, found a file");
    }
    if (Files.exists(out.resolve("router.json")) && !force && !mayReplace()) {
      throw model.usage("--out: expected no gate there, or --force, found one in " + out);
    }
    Plugins plugins = console.plugins().get();
    GateTrainer.Outcome outcome;
    try (Lorikeet lorikeet = model.open(plugins, labelled);
        TerminalProgress progress = new TerminalProgress(console)) {
      outcome = GateTrainer.train(lorikeet, labelled.texts(), plan, out, progress);
    } catch (IOException e) {
      throw LorikeetException.ofFiles("--out: writing a gate to " + out, e);
    }
    if (json) {
      Json.print(console.out(), new Training(out.toString(), labelled.names(), outcome));
    } else {
      print(labelled.names(), outcome);
    }
    return ExitCode.OK;
  }

  /** Asks, where there is somebody to answer. */
  private boolean mayReplace() {
    if (console.inputIsPiped() || json) {
      return false;
    }
    console
        .err()
        .print("There is a gate in " + Visible.oneLine(out.toString()) + ". Replace it? [y/N] ");
    console.err().flush();
    try {
      int answer = console.in().read();
      return answer == 'y' || answer == 'Y';
    } catch (IOException e) {
      return false;
    }
  }

  private GatePlan plan(int adapters) {
    if (topK < 1 || topK > adapters) {
      throw model.usage("--top-k: expected 1 to " + adapters + ", found " + topK);
    }
    int passes = epochs.orElse(scope == GatePlan.Scope.LAYER ? 4 : 20);
    if (passes < 1 || inner < 0 || !(rate > 0)) {
      throw model.usage(
          "expected --epochs of at least 1, --inner of at least 0 and --rate above 0, found "
              + passes
              + ", "
              + inner
              + " and "
              + rate);
    }
    MixedDocument.Mixing mixing = new MixedDocument.Mixing(8, 40, 1);
    return new GatePlan(
        scope, targets, seen(), topK, inner, passes, rate, mixing, VALIDATION, seed);
  }

  private RunningContext seen() {
    boolean layers = scope == GatePlan.Scope.LAYER;
    Context chosen = context.orElse(layers ? Context.NONE : Context.MEAN);
    if (layers && chosen != Context.NONE) {
      throw model.usage("--context: expected none with --scope layer, found " + chosen);
    }
    if (chosen == Context.NONE) {
      if (decay.isPresent()) {
        throw model.usage("--decay: expected with --context mean alone");
      }
      return new RunningContext.None();
    }
    try {
      return new RunningContext.MeanEmbedding(decay.orElse(DECAY));
    } catch (LorikeetException e) {
      throw model.usage("--decay: " + e.getMessage());
    }
  }

  private void print(List<String> adapters, GateTrainer.Outcome outcome) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("EPOCH", "LOSS", "CROSS-ENTROPY", "ACCURACY"));
    for (int epoch = 0; epoch < outcome.epochs().size(); epoch++) {
      rows.add(row(Integer.toString(epoch + 1), outcome.epochs().get(epoch)));
    }
    rows.add(row("kept", outcome.kept()));
    Table.print(console.out(), rows);
    if (!outcome.layers().isEmpty()) {
      List<List<String>> layers = new ArrayList<>();
      layers.add(List.of("LAYER", "LOSS", "CROSS-ENTROPY", "ACCURACY"));
      for (int layer = 0; layer < outcome.layers().size(); layer++) {
        layers.add(row(Integer.toString(layer), outcome.layers().get(layer)));
      }
      console.out().println();
      Table.print(console.out(), layers);
    }
    console
        .out()
        .printf(
            Locale.ROOT,
            "%nLearned from %d tokens of %d documents; judged on %d tokens of %d others, in nats per token.%nA gate over %s is in %s.%n",
            outcome.trainingTokens(),
            outcome.trainingDocuments(),
            outcome.validationTokens(),
            outcome.validationDocuments(),
            String.join(", ", adapters),
            out);
  }

  private static List<String> row(String name, GateQuality quality) {
    return List.of(
        name,
        String.format(Locale.ROOT, "%.4f", quality.loss()),
        String.format(Locale.ROOT, "%.4f", quality.crossEntropy()),
        String.format(Locale.ROOT, "%.1f %%", 100 * quality.accuracy()));
  }
}
