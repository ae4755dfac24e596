package dev.lorikeet.arrow.store;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.tensor.ElementType;
import java.util.Arrays;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import org.junit.jupiter.api.Test;

/** Rounding of bit patterns against rounding of numbers. */
class NarrowingSinkTest {
  private static short[] rounded(int[] patterns, int count, ElementType type) {
    short[] rounded = new short[patterns.length];
    if (type == ElementType.BF16) {
      NarrowingSink.toBf16(patterns.clone(), count, rounded, 0);
    } else {
      float[] values = new float[patterns.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = Float.intBitsToFloat(patterns[i]);
      }
      NarrowingSink.toF16(values, count, rounded, 0);
    }
    return rounded;
  }

  private static boolean allFinite(int[] patterns, ElementType type) {
    short[] rounded = new short[patterns.length];
    if (type == ElementType.BF16) {
      return NarrowingSink.toBf16(patterns.clone(), patterns.length, rounded, 0);
    }
    float[] values = new float[patterns.length];
    for (int i = 0; i < values.length; i++) {
      values[i] = Float.intBitsToFloat(patterns[i]);
    }
    return NarrowingSink.toF16(values, patterns.length, rounded, 0);
  }

  private static void assertRounded(int[] patterns, ElementType type) {
    short[] rounded = rounded(patterns, patterns.length, type);
    for (int i = 0; i < patterns.length; i++) {
      float value = Float.intBitsToFloat(patterns[i]);
      double found = PlainRounding.decode(rounded[i], type);
      boolean right =
          Float.isNaN(value)
              ? !Double.isFinite(found)
              : Double.doubleToRawLongBits(PlainRounding.round(value, type))
                  == Double.doubleToRawLongBits(found);
      if (!right) {
        throw new AssertionError(
            type
                + " of "
                + value
                + " (0x"
                + Integer.toHexString(patterns[i])
                + "): expected "
                + PlainRounding.round(value, type)
                + ", found "
                + found);
      }
    }
  }

  /** Every sign, exponent and kept bit, each with no rest, half of one, and what is beside them. */
  private static void assertAllKept(ElementType type, int restBits) {
    int half = 1 << restBits - 1;
    int[] rests = {0, 1, half - 1, half, half + 1, 2 * half - 1};
    for (int rest : rests) {
      IntUnaryOperator pattern = kept -> kept << restBits | rest;
      int all = 1 << 32 - restBits;
      int[] patterns = new int[all];
      Arrays.setAll(patterns, pattern);
      assertRounded(patterns, type);
    }
  }

  @Test
  void everyBf16NumberIsReachedFromItsNeighboursAndTiesGoToTheEvenOne() {
    assertAllKept(ElementType.BF16, 16);
  }

  @Test
  void everyF16NumberIsReachedFromItsNeighboursAndTiesGoToTheEvenOne() {
    assertAllKept(ElementType.F16, 13);
  }

  @Test
  void anyBitPatternIsRoundedToTheNearest() {
    long seed = new Random().nextLong();
    System.out.println("anyBitPatternIsRoundedToTheNearest seed " + seed);
    int[] patterns = new Random(seed).ints(1 << 20).toArray();
    assertRounded(patterns, ElementType.BF16);
    assertRounded(patterns, ElementType.F16);
  }

  @Test
  void wellKnownNumbersComeOutAsTablesHaveThem() {
    float[] values = {
      1f,
      -0f,
      1.00390625f,
      1.01171875f,
      3.14159265f,
      65_504f,
      65_519.996f,
      65_520f,
      0x1p-24f,
      0x1p-25f,
      0x1.8p-25f,
      0x1p-133f,
      0x1p-134f,
      Float.MAX_VALUE,
      Float.MIN_VALUE
    };
    int[] bf16 = {
      0x3F80, 0x8000, 0x3F80, 0x3F82, 0x4049, 0x4780, 0x4780, 0x4780, 0x3380, 0x3300, 0x3340,
      0x0001, 0x0000, 0x7F80, 0x0000
    };
    int[] f16 = {
      0x3C00, 0x8000, 0x3C04, 0x3C0C, 0x4248, 0x7BFF, 0x7BFF, 0x7C00, 0x0001, 0x0000, 0x0001,
      0x0000, 0x0000, 0x7C00, 0x0000
    };
    int[] patterns = new int[values.length];
    Arrays.setAll(patterns, i -> Float.floatToRawIntBits(values[i]));
    short[] toBf16 = rounded(patterns, values.length, ElementType.BF16);
    short[] toF16 = rounded(patterns, values.length, ElementType.F16);
    for (int i = 0; i < values.length; i++) {
      assertEquals(bf16[i], toBf16[i] & 0xFFFF, "BF16 of " + values[i]);
      assertEquals(f16[i], toF16[i] & 0xFFFF, "F16 of " + values[i]);
    }
  }

  @Test
  void oneNumberThatIsNotFiniteAfterwardsIsNoticedWhereverItIs() {
    var random = new Random(4);
    for (ElementType type : new ElementType[] {ElementType.BF16, ElementType.F16}) {
      int[] beyond = {
        type == ElementType.F16 ? Float.floatToRawIntBits(65_520f) : 0x7F7F_8000,
        0x7F80_0000,
        0x7F80_0001,
        0x7FFF_FFFF
      };
      for (int length = 1; length < 150; length++) {
        int[] patterns = random.ints(length, 0, 0x4000_0000).toArray();
        int place = random.nextInt(length);
        patterns[place] = beyond[0] - 1;
        assertTrue(allFinite(patterns, type), type + " " + length);
        for (int pattern : beyond) {
          for (int sign : new int[] {0, Integer.MIN_VALUE}) {
            patterns[place] = pattern | sign;
            assertFalse(allFinite(patterns, type), type + " 0x" + Integer.toHexString(pattern));
          }
        }
      }
    }
  }

  @Test
  void nothingBeyondTheCountIsWrittenWhateverTheLength() {
    int[] patterns = new Random(3).ints(100).toArray();
    for (ElementType type : new ElementType[] {ElementType.BF16, ElementType.F16}) {
      short[] all = rounded(patterns, patterns.length, type);
      for (int count = 0; count < patterns.length; count++) {
        short[] some = rounded(patterns, count, type);
        for (int i = 0; i < some.length; i++) {
          assertTrue(some[i] == (i < count ? all[i] : 0), type + " " + count + " " + i);
        }
      }
    }
  }
}
