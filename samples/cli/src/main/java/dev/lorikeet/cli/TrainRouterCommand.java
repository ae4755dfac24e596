package dev.lorikeet.cli;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cli.router.GatePlan;
import dev.lorikeet.cli.router.GateQuality;
import dev.lorikeet.cli.router.GateTrainer;
import dev.lorikeet.cli.router.MixedDocument;
import dev.lorikeet.plugin.Plugins;
import dev.lorikeet.routing.RunningContext;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
  private final Console console;

  @Mixin private LabelledModelOptions model = new LabelledModelOptions();

  @Option(
      names = {"-o", "--out"},
      required = true,
      paramLabel = "DIR",
      description = "Directory for router.json and router.safetensors.")
  private Path out = Path.of("");

  @Option(
      names = "--targets",
      description =
          "What the gate learns: 'likelihood', which adapter finds the next token likeliest, or 'labels', whose text a token is from (${DEFAULT-VALUE}).")
  private GatePlan.Targets targets = GatePlan.Targets.LIKELIHOOD;

  @Option(
      names = "--context",
      paramLabel = "none|mean",
      description =
          "What the gate sees beside a token's embedding: nothing, or the decayed mean of the embeddings so far (${DEFAULT-VALUE}).")
  private Context context = Context.MEAN;

  @Option(
      names = "--decay",
      paramLabel = "D",
      description = "How slowly that mean forgets, from 0 to below 1 (${DEFAULT-VALUE}).")
  private float decay = 0.9f;

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
      description = "Passes over the training documents (${DEFAULT-VALUE}).")
  private int epochs = 20;

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

  /** What a gate sees of the past. */
  private enum Context {
    NONE,
    MEAN
  }

  TrainRouterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    LabelledModelOptions.Labelled labelled = model.read(false);
    GatePlan plan = plan(labelled.names().size());
    Plugins plugins = console.plugins().get();
    GateTrainer.Outcome outcome;
    try (Lorikeet lorikeet = model.open(plugins, labelled);
        TerminalProgress progress = new TerminalProgress(console)) {
      outcome = GateTrainer.train(lorikeet, labelled.texts(), plan, out, progress);
    } catch (IOException e) {
      throw new LorikeetException(Code.INVALID_REQUEST, "--out " + out + ": " + e, e);
    }
    if (json) {
      Json.print(console.out(), new Json.GateTraining(out.toString(), labelled.names(), outcome));
    } else {
      print(labelled.names(), outcome);
    }
    return ExitCode.OK;
  }

  private GatePlan plan(int adapters) {
    if (topK < 1 || topK > adapters) {
      throw model.usage("--top-k: expected 1 to " + adapters + ", found " + topK);
    }
    if (epochs < 1 || inner < 0 || !(rate > 0)) {
      throw model.usage(
          "expected --epochs of at least 1, --inner of at least 0 and --rate above 0, found "
              + epochs
              + ", "
              + inner
              + " and "
              + rate);
    }
    try {
      RunningContext seen =
          context == Context.NONE
              ? new RunningContext.None()
              : new RunningContext.MeanEmbedding(decay);
      MixedDocument.Mixing mixing = new MixedDocument.Mixing(8, 40, 1);
      return new GatePlan(targets, seen, topK, inner, epochs, rate, mixing, 0.1, seed);
    } catch (IllegalArgumentException e) {
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
