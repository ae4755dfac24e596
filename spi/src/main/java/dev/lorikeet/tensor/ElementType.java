package dev.lorikeet.tensor;

/**
 * How one element of a {@link Tensor} is stored. All types are little-endian, as in safetensors
 * files.
 */
public enum ElementType {
  /** IEEE 754 binary32. */
  F32(4),
  /** The upper half of an IEEE 754 binary32: 8 exponent bits, 7 mantissa bits. */
  BF16(2),
  /** IEEE 754 binary16: 5 exponent bits, 10 mantissa bits. */
  F16(2);

  private final int bytes;

  ElementType(int bytes) {
    this.bytes = bytes;
  }

  /** Returns the size of one element in bytes. */
  public int bytes() {
    return bytes;
  }

  /** Returns the largest relative error of rounding to this type: 2^-24, 2^-8 or 2^-11. */
  public double unitRoundoff() {
    return switch (this) {
      case F32 -> 0x1p-24;
      case BF16 -> 0x1p-8;
      case F16 -> 0x1p-11;
    };
  }
}
