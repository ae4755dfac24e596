package dev.lorikeet.cli.generate;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.cli.console.ByteSize;
import dev.lorikeet.cli.console.Json;
import dev.lorikeet.cli.console.Table;
import dev.lorikeet.cli.view.Outcome;
import dev.lorikeet.cli.view.Sequence;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.Usage;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.shape.ModelInfo;
import java.io.PrintWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What is told of a batch when it has ended. */
final class Report {
  private Report() {}

  /** Prints the table for people. */
  static void table(PrintWriter out, Batch batch, int prompts, int voices, int adapters) {
    PoolStats pool = batch.pool();
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "batch",
            prompts
                + " prompts x "
                + voices
                + " voices; at most "
                + batch.stats().largestBatch()
                + " sequences in one step"));
    rows.add(
        List.of(
            "speed",
            String.format(
                Locale.ROOT,
                "%.1f tokens/s: %d tokens in %.2f s and %d steps, prefill included",
                batch.tokensPerSecond(),
                batch.generatedTokens(),
                batch.seconds(),
                batch.stats().steps())));
    rows.add(
        List.of(
            "",
            String.format(
                Locale.ROOT,
                "%.1f tokens/s in the second half, the JVM warmed up",
                batch.secondHalf())));
    rows.add(List.of("KV cache", pages(batch.kvCachePeak(), pool.pageBytes()) + " at its peak"));
    rows.add(
        List.of(
            "adapters",
            pages(pool.adapterPages(), pool.pageBytes()) + " for " + adapters + " adapters"));
    rows.add(
        List.of(
            "pool",
            pages(pool.pages(), pool.pageBytes())
                + " of "
                + ByteSize.text(pool.pageBytes())
                + " each"));
    out.println();
    Table.print(out, rows);
  }

  private static String pages(int pages, int pageBytes) {
    return pages + " pages (" + ByteSize.text((long) pages * pageBytes) + ")";
  }

  /** Returns all of it for scripts. */
  static BatchJson.Run json(Lorikeet lorikeet, Map<String, String> plugins, Batch batch) {
    return new BatchJson.Run(
        model(lorikeet.model().info()),
        plugins,
        generations(lorikeet.model(), batch),
        batch(batch),
        pages(batch));
  }

  static List<BatchJson.GenerationEntry> generations(BaseModel model, Batch batch) {
    List<BatchJson.GenerationEntry> entries = new ArrayList<>();
    for (int i = 0; i < batch.sequences().size(); i++) {
      Sequence sequence = batch.sequences().get(i);
      entries.add(
          switch (batch.outcomes().get(i)) {
            case Outcome.Done(var result) ->
                new BatchJson.GenerationEntry(
                    sequence.text(),
                    promptIds(model, sequence.prompt()),
                    sequence.voice().label(),
                    sequence.voice().adapter(),
                    result.tokens(),
                    result.logProbabilities(),
                    mixtures(batch.mixtures().get(i)),
                    result.text(),
                    result.finishReason().name().toLowerCase(Locale.ROOT),
                    usage(result.usage()),
                    null);
            case Outcome.Failed(var failure) ->
                new BatchJson.GenerationEntry(
                    sequence.text(),
                    null,
                    sequence.voice().label(),
                    sequence.voice().adapter(),
                    null,
                    null,
                    null,
                    null,
                    null,
                    null,
                    Json.Problem.of(failure));
          });
    }
    return entries;
  }

  // Of each token, the adapters and their weights; null where no request asked.
  private static @Nullable List<Map<String, Float>> mixtures(List<Mixture> mixtures) {
    if (mixtures.isEmpty()) {
      return null;
    }
    List<Map<String, Float>> tokens = new ArrayList<>();
    for (Mixture mixture : mixtures) {
      Map<String, Float> weights = new LinkedHashMap<>();
      mixture.shares().forEach(share -> weights.put(share.adapter(), share.weight()));
      tokens.add(weights);
    }
    return tokens;
  }

  // What a chat template makes of a conversation is known to the model alone.
  private static @Nullable List<Integer> promptIds(BaseModel model, Prompt prompt) {
    return switch (prompt) {
      case Prompt.Text(String text) -> model.encode(text);
      case Prompt.Tokens(List<Integer> tokens) -> tokens;
      case Prompt.Chat chat -> null;
    };
  }

  static BatchJson.ModelEntry model(ModelInfo info) {
    return new BatchJson.ModelEntry(
        info.directory().toString(),
        info.family(),
        info.weightType(),
        info.shape().layers(),
        info.shape().hidden(),
        info.shape().vocabulary(),
        info.maxPositions());
  }

  private static BatchJson.UsageEntry usage(Usage usage) {
    return new BatchJson.UsageEntry(
        usage.promptTokens(),
        usage.generatedTokens(),
        milliseconds(usage.queued()),
        milliseconds(usage.timeToFirstToken()),
        milliseconds(usage.total()));
  }

  private static double milliseconds(Duration duration) {
    return Math.rint(duration.toNanos() / 1e3) / 1e3;
  }

  static BatchJson.BatchEntry batch(Batch batch) {
    return new BatchJson.BatchEntry(
        batch.sequences().size(),
        batch.stats().largestBatch(),
        batch.stats().steps(),
        batch.stats().prefillTokens(),
        batch.stats().decodeTokens(),
        batch.seconds(),
        batch.tokensPerSecond(),
        batch.secondHalf());
  }

  static BatchJson.PageEntry pages(Batch batch) {
    PoolStats pool = batch.pool();
    return new BatchJson.PageEntry(
        pool.pageBytes(), pool.pages(), batch.kvCachePeak(), pool.adapterPages(), pool.usedPages());
  }
}
