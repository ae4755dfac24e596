package dev.lorikeet.training.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.training.stage.StageSpan;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class StageCutTest {
  @Test
  void whatScoringCostsIsTakenFromTheLastStage() {
    assertEquals(
        List.of(new StageSpan(0, 19, true, false), new StageSpan(19, 30, false, true)),
        StageCut.ofEqualLayers(0.01, 1, 30, 8).into(2));
    assertEquals(
        List.of(new StageSpan(0, 4, true, true)), StageCut.ofEqualLayers(1, 1, 4, 1).into(1));
  }

  @Test
  void noCutIsBetter() {
    long seed = System.nanoTime();
    SplittableRandom random = new SplittableRandom(seed);
    for (int round = 0; round < 100; round++) {
      double[] layers = new double[random.nextInt(3, 10)];
      for (int i = 0; i < layers.length; i++) {
        layers[i] = random.nextDouble(0.1, 2);
      }
      StageCut cut = new StageCut(random.nextDouble(), layers, 3 * random.nextDouble());
      List<StageSpan> spans = cut.into(3);
      double found = slowest(cut, spans);
      int next = 0;
      for (StageSpan span : spans) {
        assertEquals(next, span.first(), "seed " + seed);
        assertTrue(span.layers() > 0, "seed " + seed);
        next = span.end();
      }
      assertEquals(layers.length, next, "seed " + seed);
      double best = Double.POSITIVE_INFINITY;
      for (int a = 1; a < layers.length - 1; a++) {
        for (int b = a + 1; b < layers.length; b++) {
          best =
              Math.min(
                  best,
                  slowest(
                      cut,
                      List.of(
                          new StageSpan(0, a, true, false),
                          new StageSpan(a, b, false, false),
                          new StageSpan(b, layers.length, false, true))));
        }
      }
      assertEquals(best, found, 1e-12, "seed " + seed);
    }
  }

  private static double slowest(StageCut cut, List<StageSpan> spans) {
    return spans.stream().mapToDouble(cut::of).max().orElseThrow();
  }

  @Test
  void moreStagesThanLayersAreRefused() {
    StageCut cut = StageCut.ofEqualLayers(0, 1, 4, 1);
    assertThrows(IllegalArgumentException.class, () -> cut.into(5));
    assertThrows(IllegalArgumentException.class, () -> cut.into(0));
  }
}
