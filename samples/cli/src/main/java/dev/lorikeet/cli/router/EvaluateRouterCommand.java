package dev.lorikeet.cli.router;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.options.RouterChoice;
import dev.lorikeet.gates.MixedDocument;
import dev.lorikeet.gates.RouterEvaluation;
import dev.lorikeet.tiny.TinyModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Tells how likely a model finds documents that mix kinds of text, under routers and without. */
@Command(
    name = "evaluate",
    sortOptions = false,
    description =
        "Mixes documents from text of each adapter's kind and prints their perplexity under the base, each adapter, the uniform mixture, trained gates or another router, and an oracle that knows each passage's kind.")
final class EvaluateRouterCommand implements Callable<Integer> {
  private final Console console;

  @Mixin private LabelledModelOptions model = new LabelledModelOptions();

  @Option(
      names = {"-g", "--gate"},
      paramLabel = "NAME=DIR",
      description =
          "Directory of a trained gate to judge, and what to call it; may be repeated. Without --gate and --router: the tiny model's token-wise and layer-wise gates.")
  private Map<String, Path> gates = new LinkedHashMap<>();

  @Option(names = "--router", paramLabel = "NAME", description = "Router plugin to judge.")
  private Optional<String> router = Optional.empty();

  @Option(
      names = "--router-option",
      paramLabel = "KEY=VALUE",
      description = "Setting of that router; may be repeated.")
  private Map<String, String> routerOptions = new LinkedHashMap<>();

  @Option(
      names = "--passage-words",
      paramLabel = "N",
      description = "Words of a passage (${DEFAULT-VALUE}).")
  private int words = 30;

  @Option(
      names = "--documents",
      paramLabel = "N",
      description = "Use at most this many documents (${DEFAULT-VALUE}).")
  private int most = 1000;

  @Option(
      names = "--seed",
      paramLabel = "N",
      description = "The same seed and texts give the same documents (${DEFAULT-VALUE}).")
  private long seed = 3;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  EvaluateRouterCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() {
    if (words < 1 || most < 1) {
      throw model.usage(
          "--passage-words and --documents: expected at least 1, found " + words + " and " + most);
    }
    if (router.isEmpty() && !routerOptions.isEmpty()) {
      throw model.usage("--router-option: expected --router as well");
    }
    LabelledModelOptions.Labelled labelled = model.read(console, true);
    if (gates.isEmpty() && router.isEmpty() && labelled.tiny().isEmpty()) {
      throw model.usage("expected --gate or --router with a model of your own");
    }
    Plugins plugins = console.plugins().get();
    RouterEvaluation evaluation;
    try (Lorikeet lorikeet = model.open(plugins, labelled);
        TerminalProgress progress = new TerminalProgress(console)) {
      List<String> routers = addRouters(lorikeet, labelled.tiny());
      List<MixedDocument> documents =
          MixedDocument.mix(
              lorikeet.model(), labelled.texts(), new MixedDocument.Mixing(words, words, 1), seed);
      if (documents.isEmpty()) {
        throw new LorikeetException(
            Code.INVALID_REQUEST,
            "text: expected at least " + words + " words of each kind, found fewer");
      }
      documents = documents.subList(0, Math.min(most, documents.size()));
      int scores =
          RouterEvaluation.scores(routers.size(), labelled.names().size(), documents.size());
      progress.begin("scoring", scores);
      evaluation =
          RouterEvaluation.of(lorikeet, routers, labelled.names(), documents, progress::step);
    }
    if (json) {
      Json.print(console.out(), RoutingQuality.of(evaluation));
    } else {
      print(evaluation);
    }
    return ExitCode.OK;
  }

  /** Adds the routers to judge to the model and returns what they are called. */
  private List<String> addRouters(Lorikeet lorikeet, Optional<TinyModel> tiny) {
    Map<String, Path> directories = new LinkedHashMap<>();
    gates.forEach((name, directory) -> directories.put("gate " + name, directory));
    if (gates.isEmpty() && router.isEmpty()) {
      TinyModel own = tiny.orElseThrow();
      directories.put("token-wise gate", own.gate());
      directories.put("layer-wise gate", own.layerGate());
    }
    directories.forEach(
        (name, directory) ->
            lorikeet.addRouter(name, "gate", Map.of("path", directory.toString())));
    List<String> names = new ArrayList<>(directories.keySet());
    router.ifPresent(
        name -> {
          names.add("router " + name);
          RouterChoice.add(lorikeet, "router " + name, name, routerOptions, tiny, model::usage);
        });
    return names;
  }

  private void print(RouterEvaluation evaluation) {
    double best = evaluation.bestFixed().perplexity();
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of("ADAPTERS", "NATS PER TOKEN", "PERPLEXITY", "AGAINST THE BEST WITHOUT ROUTER"));
    for (RouterEvaluation.Row row : evaluation.rows()) {
      rows.add(
          List.of(
              row.name(),
              String.format(Locale.ROOT, "%.4f", row.lossPerToken()),
              String.format(Locale.ROOT, "%.2f", row.perplexity()),
              String.format(Locale.ROOT, "%+.1f %%", 100 * (row.perplexity() / best - 1))));
    }
    Table.print(console.out(), rows);
    console
        .out()
        .printf(
            Locale.ROOT,
            "%n%d tokens in %d documents, each with %d words of every kind in random order. The oracle knows the kind of each passage and uses its adapter alone.%n",
            evaluation.tokens(),
            evaluation.documents(),
            words);
  }
}
