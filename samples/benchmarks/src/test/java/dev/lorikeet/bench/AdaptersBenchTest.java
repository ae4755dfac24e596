package dev.lorikeet.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The benchmark of adapters from its command line to its JSON. */
class AdaptersBenchTest {
  @TempDir Path directory;

  private int run(String... more) {
    List<String> args =
        new java.util.ArrayList<>(
            List.of(
                "adapters",
                "--data",
                directory.resolve("data").toString(),
                "--output",
                directory.resolve("out.json").toString(),
                "--rounds=1",
                "--requests=6",
                "--prompt=4",
                "--tokens=3",
                "--hot=3",
                "--distinct=2"));
    args.addAll(List.of(more));
    return Main.commands().execute(args.toArray(String[]::new));
  }

  @Test
  void moreAdaptersThanFitAreServedAndMeasured() throws IOException {
    assertEquals(0, run("--registered", "1,12", "--soak", "1s"));
    JsonNode report = new ObjectMapper().readTree(directory.resolve("out.json").toFile());
    assertEquals(4, report.get("cells").size());
    for (JsonNode cell : report.get("cells")) {
      assertEquals(6, cell.at("/saturated/requests").asInt());
      assertEquals(6, cell.at("/poisson/requests").asInt());
      assertTrue(cell.at("/poisson/time_to_first_token_ms/p99").asDouble() > 0);
      assertEquals(0, cell.at("/memory/kv_cache_pages").asInt(), "every page is back");
    }
    assertTrue(report.at("/soak/result/requests").asInt() > 0);
    assertEquals(Files.getAttribute(link(0), "unix:ino"), Files.getAttribute(link(10), "unix:ino"));
  }

  private Path link(int adapter) {
    return directory.resolve(
        String.format(
            java.util.Locale.ROOT, "data/8m/farm-2/%06d/adapter_model.safetensors", adapter));
  }

  @Test
  void aModelThatIsNotThereIsToldOfInOneLine() {
    StringWriter err = new StringWriter();
    int exitCode =
        Main.commands()
            .setErr(new PrintWriter(err))
            .execute(
                "serve",
                "--data=" + directory.resolve("data"),
                "--output=" + directory.resolve("out.json"),
                "--model=" + directory.resolve("nowhere"));
    assertEquals(1, exitCode);
    assertTrue(err.toString().contains("nowhere"), err::toString);
    assertEquals(1, err.toString().lines().count(), err::toString);
  }

  @Test
  void unknownModelsAndTimesAreWrongUsage() {
    assertEquals(2, run("--model", "7b"));
    assertEquals(2, run("--soak", "soon"));
    assertEquals(2, Main.commands().execute("nothing"));
    assertEquals(0, Main.commands().execute("serve", "--help"));
    assertEquals(2, Main.commands().execute());
  }
}
