package dev.lorikeet.bench.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.shape.ModelShape;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

/** Mixes of tasks, and what their steps cost. */
class MixTest {
  private static Mix mix(String text) {
    return new Mix.Converter().convert(text);
  }

  @Test
  void aMixIsReadTaskByTask() {
    assertEquals(List.of(64, 64, 64, 512), mix("3x64+1x512").lengths());
    assertEquals(704, mix("3x64+1x512").tokens());
    assertEquals("4x64", mix("4x64").title());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "4", "x64", "0x64", "4x1", "4x64+", "4*64"})
  void anythingElseIsRefused(String text) {
    assertThrows(TypeConversionException.class, () -> mix(text));
  }

  @Test
  void stepsAreAboutAsManyTokensButTwoAtLeast() {
    assertEquals(8, mix("1x64").steps(1536));
    assertEquals(6, mix("4x64").steps(1536));
    assertEquals(2, mix("16x512").steps(1536));
  }

  @Test
  void sequencesComeFromTheSeedAndHaveNoSpecialIds() {
    List<List<List<Integer>>> ids = mix("2x8+1x3").ids(3, 100, 7);
    assertEquals(ids, mix("2x8+1x3").ids(3, 100, 7));
    assertEquals(List.of(8, 8, 3), ids.stream().map(task -> task.getFirst().size()).toList());
    assertTrue(ids.stream().allMatch(task -> task.size() == 3));
    ids.forEach(task -> task.forEach(step -> step.forEach(id -> assertTrue(id >= 3 && id < 100))));
  }

  @Test
  void operationsAreCountedOnce() {
    ModelShape shape =
        ModelShape.builder()
            .layers(1)
            .hidden(2)
            .intermediate(3)
            .heads(1)
            .kvHeads(1)
            .headDim(2)
            .vocabulary(5)
            .build();
    // Weights: 4 of 2 x 2, 3 of 2 x 3. Adapters of rank 1: 4 * 4 + 3 * 5. Pairs of 2 tokens: 3.
    double base = 4 * 34 * 2;
    double head = 4 * 5 * 2;
    double attention = 12 * 3 * 2;
    double lora = 6 * 31 * 2;
    assertEquals(base + head + attention + lora, StepFlops.of(shape, 1, 2));
  }
}
