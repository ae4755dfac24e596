package dev.lorikeet.bench.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class KernelCostTest {
  /** Weights of the linear layers of the 135 M Llama, the last one left out. */
  private static final double WEIGHTS = 30 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536.0);

  private static KernelCost cost(String benchmark, Map<String, String> parameters) {
    return KernelCost.of(benchmark, key -> String.valueOf(parameters.get(key)));
  }

  @Test
  void aProductReadsItsWeightsOnceForAllTokens() {
    KernelCost one = cost("MatMulBenchmark", Map.of("type", "BF16", "tokens", "1"));
    KernelCost many = cost("MatMulBenchmark", Map.of("type", "BF16", "tokens", "64"));
    assertEquals(2 * WEIGHTS, one.bytes());
    assertEquals(one.bytes(), many.bytes());
    assertEquals(2 * WEIGHTS, one.flops());
    assertEquals(64 * one.flops(), many.flops());
    assertEquals(
        WEIGHTS * 0.625, cost("MatMulBenchmark", Map.of("type", "Q4", "tokens", "1")).bytes());
  }

  @Test
  void attentionOfAChunkCountsOnlyEarlierPositions() {
    KernelCost decode = cost("AttentionBenchmark", Map.of("type", "F16", "tokens", "8"));
    KernelCost chunk = cost("AttentionBenchmark", Map.of("type", "F16", "tokens", "64"));
    assertEquals(4.0 * 8 * 512 * 576 * 30, decode.flops());
    assertEquals(4.0 * (64 * 449 + 63 * 64 / 2) * 576 * 30, chunk.flops());
    assertEquals(8 * chunk.bytes(), decode.bytes());
  }

  @Test
  void differentAdaptersAreReadEachAndComputedOnce() {
    KernelCost one = cost("LoraBenchmark", Map.of("batch", "8/1"));
    KernelCost eight = cost("LoraBenchmark", Map.of("batch", "8/8"));
    assertEquals(8 * one.bytes(), eight.bytes());
    assertEquals(one.flops(), eight.flops());
  }

  @Test
  void theBackwardOfADeltaIsFiveProductsForTwo() {
    Map<String, String> shape = Map.of("hidden", "576", "rank", "16", "tokens", "64");
    Map<String, String> forward = new HashMap<>(shape);
    forward.put("pass", "forward");
    Map<String, String> backward = new HashMap<>(shape);
    backward.put("pass", "rank");
    assertEquals(2.0 * 2 * 3 * 64 * 16 * 576, cost("GradientBenchmark", forward).flops());
    assertEquals(2.0 * 5 * 3 * 64 * 16 * 576, cost("GradientBenchmark", backward).flops());
  }

  @Test
  void everyBenchmarkHasACost() throws IOException {
    try (InputStream list = KernelCostTest.class.getResourceAsStream("/META-INF/BenchmarkList")) {
      String text =
          list == null
              ? ""
              : new String(list.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
      for (String name : new String[] {"MatMul", "Attention", "Lora", "Gradient", "Merge"}) {
        assertTrue(text.contains(name + "Benchmark"), name);
      }
    }
    assertThrows(IllegalArgumentException.class, () -> KernelCost.of("Other", key -> ""));
  }
}
