package dev.lorikeet.jlama;

import static io.opentelemetry.api.common.AttributeKey.stringKey;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.ModelStats;
import dev.lorikeet.tiny.TinyModel;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.sdk.metrics.data.HistogramPointData;
import io.opentelemetry.sdk.metrics.data.LongPointData;
import io.opentelemetry.sdk.metrics.data.MetricData;
import io.opentelemetry.sdk.metrics.data.PointData;
import io.opentelemetry.sdk.testing.junit5.OpenTelemetryExtension;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;

/** Metrics of a workload whose numbers are known. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class MetricsTest {
  @RegisterExtension
  static final OpenTelemetryExtension TELEMETRY = OpenTelemetryExtension.create();

  private final TinyModel tiny = TinyModel.extract();
  private Opened opened;

  /** The extension makes instruments of earlier times void before each test. */
  @BeforeEach
  void open() {
    opened = Opened.of(tiny, Opened.builder(tiny));
  }

  @AfterEach
  void close() {
    opened.close();
  }

  private static MetricData metric(String name) {
    return find(name).orElseThrow(() -> new AssertionError("no metric " + name));
  }

  private static Optional<MetricData> find(String name) {
    return TELEMETRY.getMetrics().stream().filter(m -> m.getName().equals(name)).findFirst();
  }

  private static <P extends PointData> P only(Collection<P> points, String key, String value) {
    List<P> found =
        points.stream()
            .filter(point -> value.equals(point.getAttributes().get(stringKey(key))))
            .toList();
    assertEquals(1, found.size(), points.toString());
    return found.getFirst();
  }

  private HistogramPointData histogram(String name, String key, String value) {
    return only(metric(name).getHistogramData().getPoints(), key, value);
  }

  private long sum(String name, String key, String value) {
    LongPointData point = only(metric(name).getLongSumData().getPoints(), key, value);
    return point.getValue();
  }

  private long sum(String name) {
    return sum(name, "gen_ai.request.model", String.valueOf(tiny.base().getFileName()));
  }

  @Test
  void countsAreThoseOfTheWorkload() {
    List<Generation> generations = new ArrayList<>();
    generations.add(submit(List.of(1, 50, 60), Optional.of("voyage"), 5));
    generations.add(submit(List.of(1, 51), Optional.of("jargon"), 1));
    generations.add(submit(List.of(1, 52, 62, 72, 82), Optional.empty(), 9));
    generations.forEach(Generation::await);
    submit(List.of(1), Optional.of("voyage"), 1).await();
    assertThrows(LorikeetException.class, () -> submit(List.of(1), Optional.of("nobody"), 1));

    String operation = "gen_ai.operation.name";
    HistogramPointData input = histogram("gen_ai.client.token.usage", "gen_ai.token.type", "input");
    assertEquals(4, input.getCount());
    assertEquals(3 + 2 + 5 + 1, input.getSum());
    HistogramPointData output =
        histogram("gen_ai.client.token.usage", "gen_ai.token.type", "output");
    assertEquals(4, output.getCount());
    assertEquals(5 + 1 + 9 + 1, output.getSum());
    assertEquals(
        4, histogram("gen_ai.server.time_to_first_token", operation, "text_completion").getCount());
    // A generation of one token has no time per token after the first.
    assertEquals(
        2,
        histogram("gen_ai.server.time_per_output_token", operation, "text_completion").getCount());
    assertEquals(
        1,
        histogram("gen_ai.server.request.duration", "error.type", "ADAPTER_NOT_FOUND").getCount());
    assertEquals(
        4 + 1,
        metric("gen_ai.server.request.duration").getHistogramData().getPoints().stream()
            .mapToLong(HistogramPointData::getCount)
            .sum());

    ModelStats stats = opened.lorikeet.model().stats();
    assertEquals(stats.steps(), sum("lorikeet.decoder.steps"));
    assertEquals(11, sum("lorikeet.decoder.tokens", "lorikeet.phase", "prefill"));
    assertEquals(4 + 8, sum("lorikeet.decoder.tokens", "lorikeet.phase", "decode"));
    HistogramPointData sequences = onlyPoint("lorikeet.batch.sequences");
    HistogramPointData tokens = onlyPoint("lorikeet.batch.tokens");
    assertEquals(stats.steps(), sequences.getCount());
    assertEquals(stats.steps(), tokens.getCount());
    assertEquals(11 + 4 + 8, tokens.getSum());
    assertEquals(stats.largestBatch(), sequences.getMax());
    assertEquals(2, sum("lorikeet.adapter.loads"));
    assertTrue(sum("lorikeet.adapter.hits") >= 1);
    assertEquals(0, sum("lorikeet.adapter.evictions"));
    assertEquals(4, sum("lorikeet.adapters.registered"));
    assertEquals(2, sum("lorikeet.adapters.resident"));
    assertEquals(0, sum("lorikeet.requests.queued"));
    assertEquals(0, sum("lorikeet.requests.running"));
    PoolStats pool = opened.lorikeet.pool().stats();
    assertEquals(pool.adapterPages(), sum("lorikeet.pool.pages", "lorikeet.page.owner", "adapter"));
    assertEquals(0, sum("lorikeet.pool.pages", "lorikeet.page.owner", "kv_cache"));
    assertEquals(pool.freePages(), sum("lorikeet.pool.pages", "lorikeet.page.owner", "free"));
  }

  private Generation submit(List<Integer> prompt, Optional<String> adapter, int tokens) {
    return opened.lorikeet.submit(Opened.request(prompt, adapter, tokens).build());
  }

  private static HistogramPointData onlyPoint(String name) {
    Collection<HistogramPointData> points = metric(name).getHistogramData().getPoints();
    assertEquals(1, points.size());
    return points.iterator().next();
  }

  @Test
  void pagesOfRunningRequestsAreCounted() {
    Generation generation = submit(List.of(1, 2), Optional.empty(), 900);
    // Counts are published after a step has handed its tokens out.
    assertTrue(generation.stream().skip(2).findFirst().isPresent());
    assertEquals(1, sum("lorikeet.requests.running"));
    assertTrue(sum("lorikeet.pool.pages", "lorikeet.page.owner", "kv_cache") > 0);
    generation.cancel();
  }

  @Test
  void pagesKeptForLaterRequestsAreCountedApart() {
    List<Integer> prompt = new ArrayList<>();
    for (int t = 0; t < 600; t++) {
      prompt.add(3 + (11 * t) % 2045);
    }
    submit(prompt, Optional.empty(), 2).await();
    submit(prompt, Optional.empty(), 2).await();
    assertEquals(2, sum("lorikeet.prefix.lookups"));
    assertEquals(1, sum("lorikeet.prefix.hits"));
    assertTrue(sum("lorikeet.prefix.reused_tokens") > 0);
    long kept = sum("lorikeet.pool.pages", "lorikeet.page.owner", "prefix_cache");
    assertTrue(kept > 0);
    assertEquals(kept, opened.lorikeet.pool().stats().kvCachePages());
    assertEquals(0, sum("lorikeet.pool.pages", "lorikeet.page.owner", "kv_cache"));
  }

  @Test
  void bucketsAreThoseThatTheConventionsRecommend() {
    submit(List.of(1, 50), Optional.empty(), 3).await();
    assertEquals(
        List.of(
            0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
        onlyPoint("gen_ai.server.request.duration").getBoundaries());
    assertEquals(
        List.of(
            0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
            10.0),
        onlyPoint("gen_ai.server.time_to_first_token").getBoundaries());
    assertEquals(
        List.of(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5),
        onlyPoint("gen_ai.server.time_per_output_token").getBoundaries());
    assertEquals(
        Attributes.of(
            stringKey("gen_ai.operation.name"),
            "text_completion",
            stringKey("gen_ai.provider.name"),
            "lorikeet",
            stringKey("gen_ai.request.model"),
            String.valueOf(tiny.base().getFileName())),
        onlyPoint("gen_ai.server.request.duration").getAttributes());
  }

  @Test
  void theChoiceBetweenDeltasAndMergedWeightsIsCounted() {
    submit(List.of(1, 50), Optional.of("voyage"), 4).await();
    assertEquals(4, sum("lorikeet.switching.steps", "lorikeet.switching", "delta"));
    opened.close();
    opened = Opened.of(tiny, Opened.builder(tiny).modelOption("switching", "merge"));
    submit(List.of(1, 50), Optional.of("voyage"), 4).await();
    submit(List.of(1, 50), Optional.of("jargon"), 3).await();
    assertEquals(4 + 3, sum("lorikeet.switching.steps", "lorikeet.switching", "merged"));
    assertEquals(2, onlyPoint("lorikeet.switching.duration").getCount());
  }

  @Test
  void aClosedModelIsAskedNoMore() {
    assertTrue(find("lorikeet.pool.pages").isPresent());
    opened.lorikeet.model().close();
    assertEquals(Optional.empty(), find("lorikeet.pool.pages"));
  }
}
