package dev.lorikeet.arrow.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.arrow.ArrowAdapterStoreProvider;
import dev.lorikeet.arrow.ArrowPagePoolProvider;
import dev.lorikeet.arrow.TinyModel;
import dev.lorikeet.memory.PoolConfig;
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.sdk.metrics.data.HistogramPointData;
import io.opentelemetry.sdk.testing.junit5.OpenTelemetryExtension;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

class LoadDurationsTest {
  @RegisterExtension
  static final OpenTelemetryExtension TELEMETRY = OpenTelemetryExtension.create();

  @TempDir Path directory;

  @Test
  void loadsAreTimedAndHitsAreNot() throws IOException {
    Path jargon = TinyModel.copy("jargon", directory);
    Path voyage = TinyModel.copy("voyage", directory);
    try (var pool = new ArrowPagePoolProvider().open(PoolConfig.ofBytes(16L << 20));
        var store = new ArrowAdapterStoreProvider().open(StoreConfig.of(TinyModel.SHAPE, pool))) {
      store.register(new AdapterSource("jargon", jargon));
      store.register(new AdapterSource("voyage", voyage));
      store.acquire("jargon").close();
      store.acquire("jargon").close();
      try (var files = Files.list(voyage)) {
        for (Path file : files.toList()) {
          Files.delete(file);
        }
      }
      LorikeetException failure =
          assertThrows(LorikeetException.class, () -> store.acquire("voyage"));
      Map<String, Long> counts =
          TELEMETRY.getMetrics().stream()
              .filter(metric -> metric.getName().equals("lorikeet.adapter.load.duration"))
              .flatMap(metric -> metric.getHistogramData().getPoints().stream())
              .collect(
                  Collectors.toMap(
                      point ->
                          Optional.ofNullable(
                                  point.getAttributes().get(AttributeKey.stringKey("error.type")))
                              .orElse("loaded"),
                      HistogramPointData::getCount));
      assertEquals(Map.of("loaded", 1L, failure.code().name(), 1L), counts);
    }
  }
}
