package dev.lorikeet.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The benchmark of fine-tuning from its command line to its JSON. */
class TrainBenchTest {
  @TempDir Path directory;

  private int run(String... more) {
    String[] args = {
      "train",
      "--model=8m",
      "--rank=2",
      "--rounds=1",
      "--tokens=16",
      "--data=" + directory.resolve("data"),
      "--output=" + directory.resolve("out.json")
    };
    String[] all = java.util.Arrays.copyOf(args, args.length + more.length);
    System.arraycopy(more, 0, all, args.length, more.length);
    return Main.commands().execute(all);
  }

  @Test
  void mixesAreMeasuredWithoutPyTorch() throws IOException {
    assertEquals(0, run("--mix=1x8,2x8+1x16", "--python=no-such-python"));
    JsonNode report = new ObjectMapper().readTree(directory.resolve("out.json").toFile());
    assertTrue(report.get("no_peer").asText().contains("no-such-python"), report::toString);
    assertEquals(2, report.get("rows").size());
    for (JsonNode row : report.get("rows")) {
      assertTrue(row.at("/together/median").asDouble() > 0);
      assertTrue(row.at("/apart/median").asDouble() > 0);
      assertTrue(row.at("/memory/peak_bytes").asLong() > row.at("/memory/plan/base").asLong());
      assertTrue(row.get("peer").isNull());
    }
    assertTrue(report.get("criteria").toString().contains("2x8+1x16 at once"), report::toString);
  }

  @Test
  void mixesThatAreNoneAreWrongUsage() {
    assertEquals(2, run("--mix=8"));
    assertEquals(2, run("--mix=1x2000"));
  }
}
