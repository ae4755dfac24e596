package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.Plugin;
import dev.lorikeet.PluginKind;
import dev.lorikeet.Plugins;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.plugin.Availability;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class CudaLoraExecutorProviderTest {
  private static final String MISSING = "/nowhere/libcuda-that-does-not-exist.so";

  @BeforeAll
  static void pretendThatThereIsNoDriver() {
    System.setProperty("lorikeet.cuda.driver", MISSING);
  }

  @Test
  void withoutADriverTheReasonNamesWhatWasTried() {
    Availability state = new CudaLoraExecutorProvider().availability();
    Availability.Unavailable unavailable = (Availability.Unavailable) state;
    assertTrue(unavailable.detail().contains("no NVIDIA driver"), unavailable.detail());
    assertTrue(unavailable.detail().contains(MISSING), unavailable.detail());
    assertFalse(unavailable.detail().contains("\n"), "one line");
  }

  @Test
  void withoutADriverOpenIsRefusedWithTheReason() {
    LorikeetException refusal =
        assertThrows(
            LorikeetException.class,
            () -> new CudaLoraExecutorProvider().open(ExecutorConfig.of(Workers.SINGLE)));
    assertEquals(LorikeetException.Code.PLUGIN_UNAVAILABLE, refusal.code());
    assertTrue(String.valueOf(refusal.getMessage()).contains("no NVIDIA driver"));
  }

  @Test
  void discoveryListsItWithItsPriorityAndTheReason() {
    Plugin cuda =
        Plugins.discover().list().stream()
            .filter(p -> p.kind() == PluginKind.LORA_EXECUTOR && p.name().equals("cuda"))
            .findFirst()
            .orElseThrow();
    assertEquals(80, cuda.priority());
    assertFalse(cuda.isAvailable());
    assertTrue(
        cuda.availability().detail().contains("no NVIDIA driver"), cuda.availability().detail());
  }
}
