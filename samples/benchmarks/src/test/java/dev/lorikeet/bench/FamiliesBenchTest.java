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

/** The benchmark of families from its command line to its JSON. */
class FamiliesBenchTest {
  @TempDir Path directory;

  private int run(String... more) {
    String[] args = new String[more.length + 5];
    args[0] = "families";
    args[1] = "--data=" + directory.resolve("data");
    args[2] = "--output=" + directory.resolve("out.json");
    args[3] = "--model=8m";
    args[4] = "--quick";
    System.arraycopy(more, 0, args, 5, more.length);
    return Main.commands().execute(args);
  }

  @Test
  void everyFamilyIsMeasuredBesideLlamaWithTheBytesThatItReads() throws IOException {
    assertEquals(0, run());
    JsonNode report = new ObjectMapper().readTree(directory.resolve("out.json").toFile());
    Map<String, Double> bytes = new HashMap<>();
    for (JsonNode entry : report.path("families")) {
      assertTrue(entry.path("per_byte").path("median").asDouble() > 0, entry.toString());
      bytes.put(
          entry.path("family").asText()
              + " "
              + entry.path("type").asText()
              + " "
              + entry.path("sequences").asInt(),
          entry.path("bytes_of_step").asDouble());
    }
    assertEquals(17 * 4 - 2, bytes.size(), bytes.toString());
    // 8192 x 256 for the output, 6 layers of 2 x 256 x (256 + 128) + 3 x 256 x 768, in 16 bits.
    double matrices = 2.0 * (8192 * 256 + 6 * (2 * 256 * 384 + 3 * 256 * 768));
    double norms = 2.0 * 256 * 13;
    assertEquals(matrices + norms, bytes.get("llama BF16 1"));
    assertEquals(matrices + norms, bytes.get("mistral BF16 8"));
    // Two of four experts half as wide are as many bytes; of eight tokens nearly all are chosen.
    double router = 2.0 * 6 * 4 * 256;
    assertEquals(matrices + norms + router, bytes.getOrDefault("mixtral BF16 1", 0.0), 1);
    double experts = 2.0 * 6 * 3 * 256 * 768;
    assertEquals(
        matrices + norms + router + experts * (2 * (1 - 1 / 256.0) - 1),
        bytes.getOrDefault("mixtral BF16 8", 0.0),
        1);
  }

  @Test
  void whatIsNoFamilyIsRefusedWithThoseThatThereAre() {
    assertEquals(CommandLine.ExitCode.USAGE, run("--families=llama,bloom"));
    assertEquals(CommandLine.ExitCode.USAGE, run("--tokens=1"));
  }
}
