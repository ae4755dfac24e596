package dev.lorikeet.cli.generate;

import dev.lorikeet.cli.console.Json;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The shapes of a batch in JSON. */
final class BatchJson {
  private BatchJson() {}

  record Run(
      ModelEntry model,
      Map<String, String> plugins,
      List<GenerationEntry> generations,
      BatchEntry batch,
      PageEntry pages) {}

  record ModelEntry(
      String directory,
      String family,
      String weightType,
      int layers,
      int hidden,
      int vocabulary,
      int maxPositions) {}

  record GenerationEntry(
      String prompt,
      @Nullable List<Integer> promptIds,
      String voice,
      @Nullable String adapter,
      @Nullable List<Integer> ids,
      @Nullable List<Float> logProbabilities,
      @Nullable List<Map<String, Float>> mixtures,
      @Nullable String text,
      @Nullable String finishReason,
      @Nullable UsageEntry usage,
      Json.@Nullable Problem error) {}

  record UsageEntry(
      int promptTokens,
      int generatedTokens,
      double queuedMs,
      double timeToFirstTokenMs,
      double totalMs) {}

  record BatchEntry(
      int sequences,
      int largestBatch,
      long steps,
      long prefillTokens,
      long decodeTokens,
      double seconds,
      double tokensPerSecond,
      double secondHalfTokensPerSecond) {}

  record PageEntry(int pageBytes, int total, int kvCachePeak, int adapters, int usedAtEnd) {}

  record ResultLine(String type, int sequence, GenerationEntry generation) {}

  record SummaryLine(String type, BatchEntry batch, PageEntry pages) {}
}
