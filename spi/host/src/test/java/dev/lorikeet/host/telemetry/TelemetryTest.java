package dev.lorikeet.host.telemetry;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TelemetryTest {
  @ParameterizedTest
  @CsvSource({
    "/models/tiny, tiny",
    "/models/tiny/../small/, small",
    "/cache/hub/models--meta-llama--Llama-3.2-1B/snapshots/4e20de36, meta-llama/Llama-3.2-1B",
    "/data/snapshots/monday, monday",
  })
  void aModelIsNamedByItsDirectoryOrByItsRepositoryInACache(String directory, String name) {
    assertEquals(name, Telemetry.modelName(Path.of(directory)));
  }
}
