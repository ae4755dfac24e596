package dev.lorikeet.arrow.store;

import dev.lorikeet.tensor.ElementType;

/**
 * Rounding to 16-bit types as IEEE 754 defines it, on numbers and not on bits: the nearest multiple
 * of the unit in the last place, the even one of two, and infinity beyond the largest number.
 */
public final class PlainRounding {
  private PlainRounding() {}

  private static int mantissaBits(ElementType type) {
    return type == ElementType.F16 ? 10 : 7;
  }

  private static int bias(ElementType type) {
    return type == ElementType.F16 ? 15 : 127;
  }

  /** Rounds a number that is exact in double, as is every step of this. */
  public static double round(double value, ElementType type) {
    if (type == ElementType.F32 || value == 0) {
      return value;
    }
    int exponent = Math.max(Math.getExponent(value), 1 - bias(type));
    double unit = Math.scalb(1.0, exponent - mantissaBits(type));
    double rounded = Math.rint(value / unit) * unit;
    double largest = Math.scalb(2 - Math.scalb(1.0, -mantissaBits(type)), bias(type));
    return Math.abs(rounded) > largest
        ? Math.copySign(Double.POSITIVE_INFINITY, value)
        : Math.copySign(rounded, value);
  }

  /** Returns the number that 16 bits mean. */
  public static double decode(short bits, ElementType type) {
    int exponents = 15 - mantissaBits(type);
    int exponent = bits >> mantissaBits(type) & (1 << exponents) - 1;
    int mantissa = bits & (1 << mantissaBits(type)) - 1;
    double magnitude;
    if (exponent == (1 << exponents) - 1) {
      magnitude = mantissa == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
    } else if (exponent == 0) {
      magnitude = Math.scalb((double) mantissa, 1 - bias(type) - mantissaBits(type));
    } else {
      magnitude =
          Math.scalb(
              (double) (mantissa | 1 << mantissaBits(type)),
              exponent - bias(type) - mantissaBits(type));
    }
    return bits < 0 ? -magnitude : magnitude;
  }
}
