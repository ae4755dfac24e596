package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.jlama.kernel.Lanes;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels are right at every width of vector unit; narrower ones are tried in a child JVM. */
class LoraWidthTest {
  private static final int CASES = 60;

  @ParameterizedTest
  @ValueSource(ints = {16, 32})
  void deltasAndGradientsAreRightOnNarrowerVectors(int bytes)
      throws IOException, InterruptedException {
    long seed = Long.getLong("lorikeet.test.seed", System.nanoTime());
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-XX:MaxVectorSize=" + bytes,
                "-cp",
                System.getProperty("java.class.path"),
                Narrow.class.getName(),
                Long.toString(seed))
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), "seed " + seed + ": " + output);
    assertTrue(
        output.lines().anyMatch(line -> line.matches("lanes [1-" + bytes / 4 + "]")), output);
  }

  /** Runs in the child JVM. */
  static final class Narrow {
    private Narrow() {}

    public static void main(String[] args) {
      long first = Long.parseLong(args[0]);
      System.out.println("lanes " + Lanes.L);
      try (LoraExecutor scalar = new ScalarLoraExecutor();
          LoraExecutor vector = new VectorLoraExecutor(TestWorkers.sequential(2))) {
        for (long seed = first; seed < first + CASES; seed++) {
          try (Arena arena = Arena.ofConfined()) {
            LoraCase drawn = LoraCase.random(arena, seed);
            drawn.assertMatchesReference(drawn.run(vector, arena));
            GradientCase gradients = GradientCase.random(arena, seed);
            gradients.assertClose(gradients.run(scalar, arena), gradients.run(vector, arena));
          }
        }
      }
    }
  }
}
