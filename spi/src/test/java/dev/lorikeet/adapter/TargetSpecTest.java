package dev.lorikeet.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TargetSpecTest {
  private static TargetSpec spec(int in, int out, int aBlocks, int bBlocks, ElementType type) {
    TargetModule target = TargetModule.of(0, Projection.Q);
    return TargetSpec.builder(target)
        .rank(4)
        .inFeatures(in)
        .outFeatures(out)
        .scaling(1)
        .aBlocks(aBlocks)
        .bBlocks(bBlocks)
        .type(type)
        .build();
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, F32, 96, 32, 512",
    "2, 1, F32, 48, 32, 320",
    "1, 4, BF16, 48, 4, 208",
    "4, 2, F16, 12, 8, 80",
  })
  void rowsHoldOneDiagonalBlock(
      int aBlocks, int bBlocks, ElementType type, int aRow, int bRow, long all) {
    TargetSpec spec = spec(24, 8, aBlocks, bBlocks, type);
    assertEquals(aRow, spec.aRowBytes());
    assertEquals(bRow, spec.bRowBytes());
    assertEquals(all, spec.bytes());
    long[] offsets = new long[4];
    MemorySegment rows = MemorySegment.ofArray(new byte[aRow]);
    var a = new LoraFactor(type, 24, aBlocks, Device.HOST, rows, offsets);
    assertEquals(aRow, a.rowLength() * type.bytes(), "as the factor has it");
  }

  @Test
  void sizesThatDoNotFitAreRefusedRatherThanWrong() {
    TargetSpec spec = spec(1 << 30, 1 << 30, 1, 1, ElementType.BF16);
    assertThrows(ArithmeticException.class, spec::aRowBytes);
    assertThrows(ArithmeticException.class, spec::bRowBytes);
    assertEquals(1L << 34, spec.bytes());
  }
}
