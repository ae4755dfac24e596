package dev.lorikeet.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class TensorTest {
  private static final MemorySegment HUNDRED = MemorySegment.ofArray(new byte[100]);

  @Test
  void theLastRowNeedsNoStride() {
    Tensor tensor = new Tensor(HUNDRED, ElementType.F16, 4, 5, 15, Device.HOST);
    assertEquals(30, tensor.rowStrideBytes());
  }

  @Test
  void aTensorThatItsMemoryCannotHoldIsRefusedWithBothSizes() {
    IllegalArgumentException e =
        assertThrows(
            IllegalArgumentException.class, () -> Tensor.host(HUNDRED, ElementType.F32, 5, 6));
    assertTrue(String.valueOf(e.getMessage()).contains("120"), e.getMessage());
    assertTrue(String.valueOf(e.getMessage()).contains("100"), e.getMessage());
  }

  @Test
  void sizesThatOverflowAreRefused() {
    assertThrows(
        ArithmeticException.class,
        () -> Tensor.host(HUNDRED, ElementType.F32, Long.MAX_VALUE / 2, 8));
  }

  @Test
  void shapesThatMakeNoSenseAreRefused() {
    assertThrows(
        IllegalArgumentException.class,
        () -> new Tensor(HUNDRED, ElementType.F32, 2, 4, 3, Device.HOST));
    assertThrows(
        IllegalArgumentException.class, () -> Tensor.host(HUNDRED, ElementType.F32, -1, 4));
    assertThrows(IllegalArgumentException.class, () -> Tensor.host(HUNDRED, ElementType.F32, 1, 0));
  }
}
