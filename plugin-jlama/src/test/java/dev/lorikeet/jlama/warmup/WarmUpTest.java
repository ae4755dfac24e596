package dev.lorikeet.jlama.warmup;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.jlama.decoder.KernelReadiness;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WarmUpTest {
  @BeforeEach
  void kernelsAreOnTheVectorApi() {
    assumeTrue(Kernels.get().onVectorApi(), "nothing to warm up: " + Kernels.get().description());
  }

  @ParameterizedTest
  @ValueSource(strings = {"BF16", "F16", "F32", "Q4"})
  void everyStorageIsRehearsed(String storage) {
    for (String family : List.of("llama", "qwen3")) {
      for (ElementType kvType : List.of(ElementType.F16, ElementType.F32)) {
        Architecture miniature = Rehearsal.miniature(family(family));
        try (Rehearsal rehearsal = new Rehearsal(miniature, storage, kvType)) {
          for (boolean oneByOne : new boolean[] {true, false}) {
            rehearsal.oneByOne(oneByOne);
            Stream.concat(Rehearsal.ONE_BY_ONE.stream(), Rehearsal.TOGETHER.stream())
                .forEach(
                    counts -> {
                      rehearsal.step(counts, false);
                      rehearsal.step(counts, true);
                    });
          }
        }
      }
    }
  }

  @Test
  void aWarmUpEndsAndThenNoStepIsHeldBack() throws InterruptedException {
    WarmUp warmUp = WarmUp.started(Rehearsal.miniature(family("llama")), "BF16", ElementType.F16);
    warmUp.narrow(false);
    warmUp.narrow(true);
    warmUp.awaitAll();
    assertFalse(warmUp.narrow(false));
    assertFalse(warmUp.narrow(true));
  }

  @Test
  void aWarmUpThatFailsHoldsNothingBack() throws InterruptedException {
    WarmUp warmUp = WarmUp.started(Rehearsal.miniature(family("llama")), "I64", ElementType.F16);
    warmUp.awaitAll();
    assertFalse(warmUp.narrow(true));
    assertThrows(
        RuntimeException.class,
        () -> new Rehearsal(Rehearsal.miniature(family("llama")), "I64", ElementType.F16));
  }

  @Test
  void onceForAKindOfModelAndNeverForASmallOne() throws InterruptedException {
    Architecture small = family("llama");
    assertSame(KernelReadiness.READY, WarmUp.begin(small, "BF16", ElementType.F16));
    Architecture large = ofHidden(small, 4096);
    KernelReadiness first = WarmUp.begin(large, "F32", ElementType.F16);
    assertSame(first, WarmUp.begin(ofHidden(small, 8192), "F32", ElementType.F16));
    KernelReadiness other = WarmUp.begin(large, "F32", ElementType.F32);
    assertNotSame(first, other, "F32 keys and values take other kernels");
    for (KernelReadiness each : List.of(first, other)) {
      WarmUp warmUp = (WarmUp) each;
      assertDoesNotThrow(warmUp::awaitAll);
      assertFalse(warmUp.narrow(true));
    }
  }

  private static Architecture ofHidden(Architecture a, int hidden) {
    ModelShape s = a.shape();
    return a.withShape(s.toBuilder().hidden(hidden).intermediate(hidden).build());
  }

  private static Architecture family(String name) {
    URL config =
        Objects.requireNonNull(
            WarmUpTest.class.getResource("/dev/lorikeet/jlama/families/" + name + "/config.json"));
    try {
      return Families.read(Objects.requireNonNull(Path.of(config.toURI()).getParent()));
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }
}
