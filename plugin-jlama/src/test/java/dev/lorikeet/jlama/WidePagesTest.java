package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Models so wide that a row of an F32 adapter is longer than a usual page. */
class WidePagesTest {
  @TempDir Path directory;

  private Path model(int intermediate) {
    return RandomModel.llama(5)
        .widths(32, intermediate)
        .layers(1)
        .type(ElementType.BF16)
        .write(directory.resolve("model"));
  }

  @Test
  void pagesFollowTheWidestRow() {
    Path model = model(18_944); // as wide as the MLP of Qwen2.5-7B
    var shape = new JlamaModelProvider().describe(model).shape();
    Path adapter = PeftAdapterWriter.write(directory.resolve("adapter"), 1, 4, shape);
    var request = Opened.request(List.of(1, 2, 3), Optional.of("a"), 4).build();
    List<Integer> tokens;
    try (Lorikeet lorikeet = builder(model).open()) {
      assertEquals(77_824, lorikeet.pool().pageBytes());
      lorikeet.register("a", adapter);
      tokens = lorikeet.submit(request).await().tokens();
      assertEquals(4, tokens.size());
    }
    // In smaller pages such rows lie in runs of them.
    try (Lorikeet lorikeet = builder(model).pageBytes(PoolConfig.DEFAULT_PAGE_BYTES).open()) {
      lorikeet.register("a", adapter);
      assertEquals(tokens, lorikeet.submit(request).await().tokens());
    }
  }

  @Test
  void pagesOfOtherModelsStayAsTheyAre() {
    try (Lorikeet lorikeet = builder(model(16_384)).open()) {
      assertEquals(PoolConfig.DEFAULT_PAGE_BYTES, lorikeet.pool().pageBytes());
    }
  }

  private static Lorikeet.Builder builder(Path model) {
    return Lorikeet.builder(model)
        .poolBytes(16L << 20)
        .modelOption("threads", "1")
        .modelOption("warm-up", "false");
  }
}
