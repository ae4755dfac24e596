package dev.lorikeet.cluster;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

class PackerTest {
  @Test
  void whatWasPackedIsUnpacked() {
    int[] ints = new int[1000];
    ints[999] = -7;
    MemorySegment packed =
        new Packer()
            .put(5)
            .put("ä text")
            .put(1L << 40)
            .put(ints)
            .put(Double.NaN)
            .put(new double[] {1.5, -0.0})
            .put(2.5f)
            .put(new float[] {3.25f})
            .align(64)
            .put(9)
            .segment();
    Unpacker unpacker = new Unpacker("test", packed);
    assertEquals(5, unpacker.getInt());
    assertEquals("ä text", unpacker.getText());
    assertEquals(1L << 40, unpacker.getLong());
    assertArrayEquals(ints, unpacker.getInts());
    assertEquals(Double.NaN, unpacker.getDouble());
    assertArrayEquals(new double[] {1.5, -0.0}, unpacker.getDoubles());
    assertEquals(2.5f, unpacker.getFloat());
    assertArrayEquals(new float[] {3.25f}, unpacker.getFloats());
    assertEquals(4, unpacker.align(64).rest().byteSize());
  }

  @Test
  void lengthsThatDoNotFitAreRefused() {
    for (int length : new int[] {-1, 3, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
      MemorySegment packed = new Packer().put(length).put(1).put(2).segment();
      assertThrows(
          LorikeetException.class,
          () -> new Unpacker("test", packed).getInts(),
          "length " + length);
    }
    assertThrows(
        LorikeetException.class,
        () -> new Unpacker("test", new Packer().put(1).segment()).getLong());
  }
}
