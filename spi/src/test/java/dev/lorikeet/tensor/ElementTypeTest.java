package dev.lorikeet.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Single elements, against the definition of the types in double arithmetic. */
class ElementTypeTest {
  private static final int PATTERNS = 1 << 16;
  private static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final MemorySegment memory = MemorySegment.ofArray(new byte[16]);

  /** A binary format as IEEE 754 defines it. */
  private record Format(int exponentBits, int mantissaBits) {
    static Format of(ElementType type) {
      return switch (type) {
        case F32 -> new Format(8, 23);
        case BF16 -> new Format(8, 7);
        case F16 -> new Format(5, 10);
      };
    }

    int bias() {
      return (1 << exponentBits - 1) - 1;
    }

    double decode(int bits) {
      int mantissa = bits & (1 << mantissaBits) - 1;
      int exponent = bits >>> mantissaBits & (1 << exponentBits) - 1;
      double magnitude;
      if (exponent == (1 << exponentBits) - 1) {
        magnitude = mantissa == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
      } else if (exponent == 0) {
        magnitude = Math.scalb((double) mantissa, 1 - bias() - mantissaBits);
      } else {
        magnitude =
            Math.scalb((double) (mantissa + (1 << mantissaBits)), exponent - bias() - mantissaBits);
      }
      return (bits >>> exponentBits + mantissaBits & 1) == 0 ? magnitude : -magnitude;
    }

    /** A double has room for the steps of all three formats, so that rint alone rounds here. */
    double round(double value) {
      if (value == 0 || !Double.isFinite(value)) {
        return value;
      }
      int exponent = Math.max(Math.getExponent(value), 1 - bias());
      double step = Math.scalb(1.0, exponent - mantissaBits);
      double rounded = Math.rint(value / step) * step;
      return Math.abs(rounded) < Math.scalb(1.0, bias() + 1)
          ? rounded
          : Math.copySign(Double.POSITIVE_INFINITY, value);
    }
  }

  /** NaN is equal to NaN here, whatever its bits, and -0 differs from 0. */
  private static void assertSame(double expected, float found, Supplier<String> what) {
    assertEquals(expected, (double) found, what);
  }

  private static boolean isQuiet(ElementType type, int bits) {
    return (bits >>> Format.of(type).mantissaBits() - 1 & 1) == 1;
  }

  private void assertRounded(ElementType type, float value, Supplier<String> what) {
    double expected = Format.of(type).round(value);
    assertSame(expected, type.round(value), () -> what.get() + ": rounded");
    long offset = Math.floorMod(Float.hashCode(value), 8);
    type.write(memory, offset, value);
    assertSame(expected, type.read(memory, offset), () -> what.get() + ": written and read");
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void everyPatternIsReadAsItIsDefinedAndWrittenBack(ElementType type) {
    for (int bits = 0; bits < PATTERNS; bits++) {
      long offset = bits % 5;
      memory.set(SHORT, offset, (short) bits);
      float value = type.read(memory, offset);
      int pattern = bits;
      Supplier<String> what = () -> type + " 0x" + Integer.toHexString(pattern);
      assertSame(Format.of(type).decode(bits), value, what);
      assertSame(
          value, type.round(value), () -> what.get() + ": rounding changes no value of the type");
      type.write(memory, offset, value);
      int written = memory.get(SHORT, offset) & 0xFFFF;
      if (Float.isNaN(value)) {
        assertTrue(
            Double.isNaN(Format.of(type).decode(written)) && isQuiet(type, written),
            () -> what.get() + ": written as 0x" + Integer.toHexString(written));
        assertEquals(bits >>> 15, written >>> 15, () -> what.get() + ": sign");
      } else {
        assertEquals(bits, written, what);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void everyTieAndWhatIsBesideItGoesToTheNearest(ElementType type) {
    Format format = Format.of(type);
    for (int bits = 0; bits < PATTERNS; bits++) {
      double value = format.decode(bits);
      if (!Double.isFinite(value)) {
        continue;
      }
      int exponent = Math.max(Math.getExponent(value), 1 - format.bias());
      double half = Math.scalb(0.5, exponent - format.mantissaBits());
      float tie = (float) (value + Math.copySign(half, value));
      for (float near : new float[] {tie, Math.nextUp(tie), Math.nextDown(tie)}) {
        assertRounded(type, near, () -> type + " of " + near);
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void randomFloatsAreRoundedAsInDouble(ElementType type) {
    long seed = new Random().nextLong();
    Random random = new Random(seed);
    for (int i = 0; i < 1 << 19; i++) {
      float value =
          i % 2 == 0
              ? Float.intBitsToFloat(random.nextInt()) // any exponent
              : (float) Math.scalb(random.nextGaussian(), random.nextInt(-28, 20));
      assertRounded(type, value, () -> "seed " + seed + ", " + type + " of " + value);
    }
  }

  @Test
  void whatIsTooLargeBecomesInfinite() {
    float bf16 = Float.intBitsToFloat(0x7F7F_0000);
    assertEquals(bf16, ElementType.BF16.round(Float.intBitsToFloat(0x7F7F_7FFF)));
    assertEquals(
        Float.POSITIVE_INFINITY, ElementType.BF16.round(Float.intBitsToFloat(0x7F7F_8000)));
    assertEquals(Float.NEGATIVE_INFINITY, ElementType.BF16.round(-Float.MAX_VALUE));
    assertEquals(65_504f, ElementType.F16.round(Math.nextDown(65_520f)));
    assertEquals(Float.POSITIVE_INFINITY, ElementType.F16.round(65_520f));
    assertEquals(Float.NEGATIVE_INFINITY, ElementType.F16.round(-65_520f));
    assertEquals(Float.MAX_VALUE, ElementType.F32.round(Float.MAX_VALUE));
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void everyKindOfNanStaysOneAndIsQuiet(ElementType type) {
    int[] nans = {0x7F80_0001, 0x7F80_8000, 0x7FBF_FFFF, 0x7FC0_0000, 0x7FFF_FFFF};
    for (int nan : nans) {
      for (int sign : new int[] {0, Integer.MIN_VALUE}) {
        float value = Float.intBitsToFloat(nan | sign);
        type.write(memory, 1, value);
        int written = memory.get(SHORT, 1) & 0xFFFF;
        String what = type + " of 0x" + Integer.toHexString(nan | sign);
        assertTrue(
            Double.isNaN(Format.of(type).decode(written)) && isQuiet(type, written),
            () -> what + ": 0x" + Integer.toHexString(written));
        assertTrue(Float.isNaN(type.round(value)), what);
      }
    }
  }

  @Test
  void bytesAreLittleEndian() {
    ElementType.F32.write(memory, 1, 1.5f);
    ElementType.BF16.write(memory, 5, 1.5f);
    ElementType.F16.write(memory, 7, 1.5f);
    byte[] found = memory.asSlice(0, 10).toArray(ValueLayout.JAVA_BYTE);
    byte[] expected = {0, 0, 0, (byte) 0xC0, 0x3F, (byte) 0xC0, 0x3F, 0x00, 0x3E, 0};
    assertTrue(Arrays.equals(expected, found), () -> Arrays.toString(found));
  }

  @ParameterizedTest
  @EnumSource
  void nothingBesideTheElementIsTouched(ElementType type) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment room = arena.allocate(16).fill((byte) 0x55);
      type.write(room, 3, -1);
      for (int i = 0; i < 16; i++) {
        if (i < 3 || i >= 3 + type.bytes()) {
          assertEquals(0x55, room.get(ValueLayout.JAVA_BYTE, i), "byte " + i);
        }
      }
      assertThrows(IndexOutOfBoundsException.class, () -> type.read(room, 17 - type.bytes()));
      assertThrows(IndexOutOfBoundsException.class, () -> type.write(room, -1, 1));
    }
  }
}
