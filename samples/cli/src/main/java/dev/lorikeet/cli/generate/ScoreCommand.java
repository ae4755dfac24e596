package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugins;
import dev.lorikeet.cli.console.Console;
import dev.lorikeet.cli.console.ExitCode;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.console.Visible;
import dev.lorikeet.cli.options.ModelOptions;
import dev.lorikeet.cli.options.PromptOptions;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Tells how likely a model finds texts. */
@Command(
    name = "score",
    sortOptions = false,
    description =
        "Prints the log-probability and perplexity of texts under a model and its adapters.")
public final class ScoreCommand implements Callable<Integer> {
  private static final long QUIET_MILLIS = 20;

  private final Console console;

  @Mixin private PromptOptions prompts = new PromptOptions();

  @Mixin private ModelOptions model = new ModelOptions();

  @Option(names = "--json", description = "Print JSON, with the log-probability of each token.")
  private boolean json;

  /** Creates the command; the caller adds it to its parent. */
  public ScoreCommand(Console console) {
    this.console = console;
  }

  private record ScoreList(BatchJson.ModelEntry model, List<ScoreEntry> scores) {}

  private record ScoreEntry(
      String prompt,
      String voice,
      @Nullable String adapter,
      List<Integer> tokens,
      List<Double> logProbabilities,
      double total,
      double perplexity) {}

  @Override
  public Integer call() {
    List<Sequence> sequences = Sequence.product(prompts.read(console), model.voices());
    Plugins plugins = console.plugins().get();
    try (Lorikeet lorikeet = model.open(console, plugins)) {
      List<Score> scores = scores(lorikeet, sequences);
      if (json) {
        Json.print(
            console.out(),
            new ScoreList(Report.model(lorikeet.model().info()), entries(sequences, scores)));
      } else {
        table(sequences, scores);
      }
    }
    return ExitCode.OK;
  }

  private static List<Score> scores(Lorikeet lorikeet, List<Sequence> sequences) {
    List<CompletableFuture<Score>> futures = new ArrayList<>();
    List<Score> scores = new ArrayList<>();
    try {
      for (Sequence sequence : sequences) {
        futures.add(
            submit(
                lorikeet, ScoreRequest.of(sequence.prompt(), sequence.voice().choice()), futures));
      }
      for (CompletableFuture<Score> future : futures) {
        scores.add(future.get());
      }
      return scores;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new LorikeetException(LorikeetException.Code.CANCELLED, "interrupted", e);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof LorikeetException known
          ? known
          : new LorikeetException(LorikeetException.Code.INTERNAL, String.valueOf(e.getCause()), e);
    } finally {
      futures.forEach(future -> future.cancel(true));
    }
  }

  /** Submits a request; where the queue is full, waits until it has room again. */
  private static CompletableFuture<Score> submit(
      Lorikeet lorikeet, ScoreRequest request, List<CompletableFuture<Score>> before)
      throws InterruptedException {
    while (true) {
      CompletableFuture<Score> future = lorikeet.model().score(request);
      if (!(future.isCompletedExceptionally()
          && future.exceptionNow() instanceof LorikeetException refused
          && refused.code() == LorikeetException.Code.QUEUE_FULL)) {
        return future;
      }
      awaitOne(before);
    }
  }

  /** Returns after one of those that are not done has ended, or after a moment. */
  private static void awaitOne(List<CompletableFuture<Score>> futures) throws InterruptedException {
    CompletableFuture<?>[] waiting =
        futures.stream().filter(f -> !f.isDone()).toArray(CompletableFuture<?>[]::new);
    try {
      Object _ = CompletableFuture.anyOf(waiting).get(QUIET_MILLIS, TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException e) {
      return; // failures are told where their turn comes
    }
  }

  private static List<ScoreEntry> entries(List<Sequence> sequences, List<Score> scores) {
    List<ScoreEntry> entries = new ArrayList<>();
    for (int i = 0; i < scores.size(); i++) {
      Sequence sequence = sequences.get(i);
      Score score = scores.get(i);
      entries.add(
          new ScoreEntry(
              sequence.text(),
              sequence.voice().label(),
              sequence.voice().adapter(),
              score.tokens(),
              score.logProbabilities(),
              score.total(),
              score.perplexity()));
    }
    return entries;
  }

  private void table(List<Sequence> sequences, List<Score> scores) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("VOICE", "TOKENS", "LOG-PROBABILITY", "PERPLEXITY", "TEXT"));
    for (int i = 0; i < scores.size(); i++) {
      Score score = scores.get(i);
      String text = Visible.oneLine(sequences.get(i).text());
      rows.add(
          List.of(
              sequences.get(i).voice().label(),
              Integer.toString(score.tokens().size()),
              String.format(Locale.ROOT, "%.4f", score.total()),
              String.format(Locale.ROOT, "%.3f", score.perplexity()),
              text.length() > 40
                  ? text.substring(
                          0,
                          text.offsetByCodePoints(
                              0, Math.min(39, text.codePointCount(0, text.length()))))
                      + "…"
                  : text));
    }
    Table.print(console.out(), rows);
  }
}
