package dev.lorikeet.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class LoraFactorTest {
  private static final MemorySegment MEMORY = MemorySegment.ofArray(new byte[1000]);

  private static LoraFactor factor(int width, int blocks, long... offsets) {
    return new LoraFactor(ElementType.BF16, width, blocks, Device.HOST, MEMORY, offsets);
  }

  @Test
  void rowsOfABlockDiagonalFactorCoverTheirBlock() {
    LoraFactor factor = factor(12, 3, 0, 100, 200, 300, 400, 500);
    assertEquals(6, factor.rank());
    assertEquals(4, factor.rowLength());
    int[] starts = {0, 0, 4, 4, 8, 8};
    for (int r = 0; r < 6; r++) {
      assertEquals(starts[r], factor.rowStart(r));
      assertEquals(100L * r, factor.rowOffset(r));
    }
  }

  @Test
  void contiguousRowsLieOneBehindTheOther() {
    LoraFactor factor = LoraFactor.contiguous(ElementType.BF16, 6, 12, 3, MEMORY);
    assertEquals(4, factor.rowLength());
    assertEquals(8, factor.rowStart(4));
    for (int r = 0; r < 6; r++) {
      assertEquals(8L * r, factor.rowOffset(r));
    }
    assertThrows(
        IllegalArgumentException.class,
        () -> LoraFactor.contiguous(ElementType.BF16, 6, 12, 0, MEMORY));
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> LoraFactor.contiguous(ElementType.BF16, 6, 600, 1, MEMORY));
  }

  @Test
  void rowsOutsideTheirMemoryAreRefused() {
    assertThrows(IndexOutOfBoundsException.class, () -> factor(10, 1, 0, 982));
    assertThrows(IndexOutOfBoundsException.class, () -> factor(10, 1, -2));
    assertThrows(IllegalArgumentException.class, () -> factor(10, 1, 3));
  }

  @Test
  void blocksMustDivideRankAndWidth() {
    assertThrows(IllegalArgumentException.class, () -> factor(10, 3, 0, 20, 40));
    assertThrows(IllegalArgumentException.class, () -> factor(12, 2, 0, 20, 40));
    assertThrows(IllegalArgumentException.class, () -> factor(12, 1));
  }
}
