package dev.lorikeet.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.lorikeet.gates.GateTrainer;
import dev.lorikeet.gates.RouterEvaluation;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The shapes of the JSON output; record components become keys in snake case. README.md describes
 * them for scripts: keys may be added, none changes its meaning.
 */
final class Json {
  private static final ObjectMapper MAPPER =
      JsonMapper.builder()
          .propertyNamingStrategy(PropertyNamingStrategies.SNAKE_CASE)
          .disable(SerializationFeature.FAIL_ON_EMPTY_BEANS)
          .build();
  private static final ObjectWriter PRETTY = MAPPER.writerWithDefaultPrettyPrinter();

  private Json() {}

  /** Prints an object over several lines. */
  static void print(PrintWriter out, Object value) {
    write(out, PRETTY, value);
  }

  /** Prints an object in one line. */
  static void printLine(PrintWriter out, Object value) {
    write(out, MAPPER.writer(), value);
  }

  private static void write(PrintWriter out, ObjectWriter writer, Object value) {
    try {
      out.println(writer.writeValueAsString(value));
      out.flush();
    } catch (JsonProcessingException e) {
      throw new IllegalStateException(e);
    }
  }

  record Failure(Problem error) {}

  record Problem(String code, String message) {}

  record PluginList(List<PluginEntry> plugins) {}

  record PluginEntry(
      String kind,
      String name,
      int priority,
      String state,
      String reason,
      boolean chosen,
      String className,
      String location) {}

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
      @Nullable List<Map<String, Float>> mixtures,
      @Nullable String text,
      @Nullable String finishReason,
      @Nullable UsageEntry usage,
      @Nullable Problem error) {}

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

  record TokenLine(
      String type,
      int sequence,
      String voice,
      int index,
      int id,
      String text,
      float logProbability) {}

  record ResultLine(String type, int sequence, GenerationEntry generation) {}

  record SummaryLine(String type, BatchEntry batch, PageEntry pages) {}

  record ScoreList(ModelEntry model, List<ScoreEntry> scores) {}

  record ScoreEntry(
      String prompt,
      String voice,
      @Nullable String adapter,
      List<Integer> tokens,
      List<Double> logProbabilities,
      double total,
      double perplexity) {}

  record GateTraining(String directory, List<String> experts, GateTrainer.Outcome training) {}

  record RoutingQuality(
      int documents, int tokens, List<RoutingRow> rows, String bestFixed, double gain) {
    static RoutingQuality of(RouterEvaluation evaluation) {
      return new RoutingQuality(
          evaluation.documents(),
          evaluation.tokens(),
          evaluation.rows().stream()
              .map(
                  row ->
                      new RoutingRow(
                          row.name(),
                          row.role().name().toLowerCase(Locale.ROOT),
                          row.lossPerToken(),
                          row.perplexity()))
              .toList(),
          evaluation.bestFixed().name(),
          evaluation.gain());
    }
  }

  record RoutingRow(String name, String role, double lossPerToken, double perplexity) {}
}
