package dev.lorikeet.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The benchmark of kinds of adapters from its command line to its JSON. */
class KindsBenchTest {
  @TempDir Path directory;

  private int run(String... more) {
    String[] args = new String[more.length + 5];
    args[0] = "kinds";
    args[1] = "--data=" + directory.resolve("data");
    args[2] = "--output=" + directory.resolve("out.json");
    args[3] = "--model=8m";
    args[4] = "--quick";
    System.arraycopy(more, 0, args, 5, more.length);
    return Main.commands().execute(args);
  }

  @Test
  void everyKindIsMeasuredWithTheBytesThatItReads() throws IOException {
    assertEquals(0, run("--rank=8"));
    JsonNode report = new ObjectMapper().readTree(directory.resolve("out.json").toFile());
    Map<String, Double> bytes = new HashMap<>();
    for (JsonNode entry : report.path("kinds")) {
      assertTrue(entry.path("over_model").path("median").asDouble() > 0, entry.toString());
      bytes.put(
          entry.path("kind").asText() + " " + entry.path("sequences").asInt(),
          entry.path("bytes_of_step").asDouble());
    }
    assertEquals(14, bytes.size(), bytes.toString());
    double lora = bytes.getOrDefault("lora 1", 0.0);
    assertEquals(2.0 * 8192 * 256, bytes.getOrDefault("saved_lm_head 8", 0.0) - lora);
    assertEquals(2.0 * 8 * (8192 + 256), bytes.getOrDefault("lm_head 1", 0.0) - lora);
    assertEquals(2.0 * 8 * 8 * (1 + 256), bytes.getOrDefault("embedding 8", 0.0) - lora);
    assertEquals(
        bytes.getOrDefault("dora 1", 0.0), bytes.getOrDefault("biases 1", 1.0), "two vectors each");
  }

  @Test
  void wrongOptionsAreRefused() {
    assertEquals(CommandLine.ExitCode.USAGE, run("--tokens=1"));
    assertEquals(CommandLine.ExitCode.USAGE, run("--rank=0"));
  }
}
