package dev.lorikeet.host.kv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tensor.ElementType;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class KvGeometryTest {
  @Test
  void noTwoPositionsOrLayersOverlapAndAllLieInTheirPage() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 200; round++) {
      int layers = 1 + random.nextInt(40);
      int kvWidth = 8 * (1 + random.nextInt(64));
      ElementType type = random.nextBoolean() ? ElementType.F16 : ElementType.F32;
      KvGeometry g = KvGeometry.choose(type, 64 * (64 + random.nextInt(2000)), layers, kvWidth);
      Set<Long> starts = new HashSet<>();
      for (int layer = 0; layer < layers; layer++) {
        assertTrue(g.pageOfLayer(layer) < g.blockPages(), "seed " + seed);
        long start = g.layerOffset(layer);
        assertTrue(
            start + g.blockTokens() * g.positionBytes() <= g.pageBytes(), "seed " + seed + " " + g);
        assertTrue(starts.add(g.pageOfLayer(layer) * (long) g.pageBytes() + start), "seed " + seed);
        assertEquals(0, start % (g.blockTokens() * g.positionBytes()), "seed " + seed);
      }
    }
  }

  @Test
  void wasteIsSmallAtTheDefaultPageSizeForRealModels() {
    // Layers and key width of models of 135 M, 1.1 B, 1.5 B, 7 B and 8 B parameters; sequences of
    // 500 positions.
    int[][] shapes = {{30, 192}, {22, 256}, {28, 256}, {32, 4096}, {32, 1024}};
    for (int[] shape : shapes) {
      KvGeometry g = KvGeometry.choose(ElementType.F16, 64 * 1024, shape[0], shape[1]);
      double used = 500.0 * shape[0] * g.positionBytes();
      double held = (double) g.pagesFor(500) * g.pageBytes();
      assertTrue(1 - used / held < 0.05, g + " wastes " + (1 - used / held));
    }
  }

  @Test
  void aPageTooSmallForOnePositionIsRefused() {
    LorikeetException e =
        assertThrows(
            LorikeetException.class, () -> KvGeometry.choose(ElementType.F32, 4096, 2, 1024));
    assertEquals(Code.TOO_LARGE, e.code());
    assertTrue(e.getMessage().contains("8192"), e.getMessage());
  }
}
