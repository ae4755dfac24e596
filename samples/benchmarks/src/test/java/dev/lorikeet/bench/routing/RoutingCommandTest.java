package dev.lorikeet.bench.routing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

@Timeout(value = 240, unit = TimeUnit.SECONDS)
class RoutingCommandTest {
  @TempDir Path folder;

  @Test
  void everyWayIsMeasuredAtEveryBatchAndEveryStayIsPlanned() throws IOException {
    Path json = folder.resolve("routing.json");
    int exit =
        new CommandLine(new RoutingCommand())
            .execute(
                "--model=8m",
                "--rank=4",
                "--batch=1,3",
                "--stay=2,5",
                "--quick",
                "--threads=2",
                "--documents=2",
                "--data=" + folder.resolve("data"),
                "--output=" + json);
    assertEquals(0, exit);

    JsonNode report = new ObjectMapper().readTree(json.toFile());
    Set<String> expected = new HashSet<>();
    for (Variant variant : Variant.values()) {
      expected.add(variant + " 1");
      if (variant != Variant.TOKEN_MERGED) {
        expected.add(variant + " 3");
      }
    }
    Set<String> found = new HashSet<>();
    for (JsonNode cost : report.path("costs")) {
      found.add(cost.path("variant").asText() + " " + cost.path("batch").asInt());
      assertTrue(cost.path("tokens_per_second").asDouble() > 0, cost.toString());
      assertEquals(2, cost.path("step_seconds").size());
    }
    assertEquals(expected, found);
    List<Integer> stays = new ArrayList<>();
    report.path("stays").forEach(stay -> stays.add(stay.path("tokens").asInt()));
    assertEquals(List.of(2, 5), stays);
    assertEquals(2, report.path("quality").path("documents").asInt());
    assertEquals(9, report.path("quality").path("rows").size());
  }

  @Test
  void anUnknownModelIsRefusedWithThoseThatThereAre() {
    assertEquals(
        CommandLine.ExitCode.USAGE,
        new CommandLine(new RoutingCommand())
            .execute("--model=7b", "--data=" + folder, "--output=" + folder.resolve("x.json")));
  }

  @Test
  void noTwoMixturesInARowAreTheSame() {
    List<String> adapters = List.of("a", "b", "c");
    for (int i = 0; i < 50; i++) {
      assertTrue(!Variant.pair(adapters, i).equals(Variant.pair(adapters, i + 1)), "number " + i);
    }
  }
}
