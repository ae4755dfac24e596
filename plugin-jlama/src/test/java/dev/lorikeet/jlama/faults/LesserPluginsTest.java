package dev.lorikeet.jlama.faults;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.Plugins;
import dev.lorikeet.model.GenerationRequest;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Executors and stores that know plain LoRA alone, as those of others may. */
class LesserPluginsTest {
  private static final Path LLAMA = Path.of("src/test/resources/dev/lorikeet/jlama/families/llama");

  @TempDir private Path directory;
  private Plugins plugins = Plugins.discover();

  @BeforeEach
  void discover() throws IOException {
    plugins = FaultyPlugins.discover(directory, new Faults(new Random(1))); // which never throw
  }

  private static LorikeetException refused(Lorikeet lorikeet, String adapter) {
    lorikeet.register(adapter, LLAMA.resolve("adapters").resolve(adapter));
    GenerationRequest request =
        GenerationRequest.tokens(List.of(5, 6)).adapter(adapter).maxTokens(1).build();
    return assertThrows(LorikeetException.class, () -> lorikeet.submit(request).await());
  }

  @Test
  void anExecutorThatDoesNotTakeTheOutputLayerIsNamed() {
    try (Lorikeet lorikeet =
        Lorikeet.builder(LLAMA)
            .plugins(plugins)
            .loraExecutor("faulty")
            .poolBytes(16L << 20)
            .open()) {
      LorikeetException refused = refused(lorikeet, "lmhead");
      assertEquals(Code.ADAPTER_UNSUPPORTED, refused.code(), refused.getMessage());
      String message = String.valueOf(refused.getMessage());
      assertTrue(message.contains(FaultyExecutor.class.getName()), message);
      assertTrue(message.contains("lm_head"), message);
    }
  }

  @Test
  void whatALeaseLeavesOutIsNotPassedOverInSilence() {
    try (Lorikeet lorikeet =
        Lorikeet.builder(LLAMA)
            .plugins(plugins)
            .adapterStore("faulty")
            .poolBytes(16L << 20)
            .open()) {
      LorikeetException refused = refused(lorikeet, "lora_bias");
      String message = String.valueOf(refused.getMessage());
      assertTrue(message.contains("SHIFT of model.layers.0.self_attn.q_proj"), message);
    }
  }
}
