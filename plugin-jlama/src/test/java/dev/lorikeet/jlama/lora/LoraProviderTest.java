package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraExecutorProvider;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.plugin.Availability;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** Both executors are found by their names, and say what they need. */
class LoraProviderTest {
  private static List<LoraExecutorProvider> ours() {
    return ServiceLoader.load(LoraExecutorProvider.class).stream()
        .filter(p -> p.type().getPackage().equals(LoraProviderTest.class.getPackage()))
        .map(ServiceLoader.Provider::get)
        .toList();
  }

  @Test
  void theServiceFileNamesBothAndTheFasterOneIsPreferred() {
    assertEquals(
        Map.of("cpu-scalar", 10, "cpu-vector", 50),
        ours().stream()
            .collect(Collectors.toMap(LoraExecutorProvider::name, LoraExecutorProvider::priority)));
  }

  @Test
  void bothAreAvailableAndOpenWithoutOptionsOnly() {
    for (LoraExecutorProvider provider : ours()) {
      assertInstanceOf(Availability.Available.class, provider.availability());
      try (LoraExecutor executor = provider.open(ExecutorConfig.of(Workers.SINGLE))) {
        assertTrue(executor.device().isHost());
      }
      ExecutorConfig unknown = ExecutorConfig.of(Workers.SINGLE).withOptions(Map.of("warp", "9"));
      var e = assertThrows(IllegalArgumentException.class, () -> provider.open(unknown));
      assertTrue(String.valueOf(e.getMessage()).contains("warp"), String.valueOf(e.getMessage()));
    }
  }

  @Test
  void withoutTheVectorModuleTheProviderLoadsAndNamesTheFlag()
      throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                Ask.class.getName())
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("--add-modules=jdk.incubator.vector"), output);
    assertTrue(output.contains("PLUGIN_UNAVAILABLE"), output);
  }

  /** Runs in a JVM without the vector module. */
  static final class Ask {
    private Ask() {}

    public static void main(String[] args) {
      VectorLoraExecutorProvider provider = new VectorLoraExecutorProvider();
      if (provider.availability() instanceof Availability.Unavailable(String reason)) {
        System.out.println(reason);
      }
      try {
        provider.open(ExecutorConfig.of(Workers.SINGLE)).close();
      } catch (LorikeetException e) {
        System.out.println(e.code() + ": " + e.getMessage());
      }
    }
  }
}
