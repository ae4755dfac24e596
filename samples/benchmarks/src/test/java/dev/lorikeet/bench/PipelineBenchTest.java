package dev.lorikeet.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The benchmark of pipelines from its command line to its JSON. */
class PipelineBenchTest {
  @TempDir Path directory;

  @Test
  void schedulesAreMeasuredAndPlayed() throws IOException {
    Path out = directory.resolve("out.json");
    String[] args = {
      "pipeline",
      "--model=8m",
      "--tasks=2",
      "--tokens=8",
      "--steps=2",
      "--warm-up=1",
      "--data=" + directory.resolve("data"),
      "--output=" + out
    };
    assertEquals(0, Main.commands().execute(args));
    JsonNode report = new ObjectMapper().readTree(out.toFile());
    assertEquals(5, report.get("measured").size());
    for (JsonNode way : report.get("measured")) {
      assertTrue(way.get("tokens_per_second").asDouble() > 0);
      assertEquals(way.get("processes").asInt() == 1 ? 0 : 2, way.get("idle").size());
    }
    assertEquals(6 * 3 * 3, report.get("simulated").size());
    for (JsonNode row : report.get("simulated")) {
      double idle = row.get("idle").asDouble();
      assertTrue(idle > -1e-9 && idle < 1, row::toString);
    }
  }
}
