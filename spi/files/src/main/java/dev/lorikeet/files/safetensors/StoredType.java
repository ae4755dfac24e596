package dev.lorikeet.files.safetensors;

import dev.lorikeet.tensor.ElementType;
import java.util.Arrays;
import java.util.Optional;

/** How a file stores elements: the types of safetensors, and the one that Jlama adds. */
public enum StoredType {
  /** Truth values of a byte. */
  BOOL(8),
  /** Floating point of 4 bits. */
  F4(4),
  /** Floating point of 6 bits, 2 of them exponent. */
  F6_E2M3(6),
  /** Floating point of 6 bits, 3 of them exponent. */
  F6_E3M2(6),
  /** Floating point of 8 bits, 5 of them exponent. */
  F8_E5M2(8),
  /** Floating point of 8 bits, 4 of them exponent. */
  F8_E4M3(8),
  /** Powers of two. */
  F8_E8M0(8),
  /** Unsigned bytes. */
  U8(8),
  /** Signed bytes. */
  I8(8),
  /** Signed 16-bit integers. */
  I16(16),
  /** Unsigned 16-bit integers. */
  U16(16),
  /** Signed 32-bit integers. */
  I32(32),
  /** Unsigned 32-bit integers. */
  U32(32),
  /** Signed 64-bit integers. */
  I64(64),
  /** Unsigned 64-bit integers. */
  U64(64),
  /** IEEE 754 binary16. */
  F16(16),
  /** The upper half of an IEEE 754 binary32. */
  BF16(16),
  /** IEEE 754 binary32. */
  F32(32),
  /** IEEE 754 binary64. */
  F64(64),
  /** Complex numbers of two binary32. */
  C64(64),
  /** Jlama's blocks of 32 elements, two to a byte; the scales are a tensor of their own. */
  Q4(4);

  private final int bits;

  StoredType(int bits) {
    this.bits = bits;
  }

  /** Returns how many bits an element takes. */
  public int bits() {
    return bits;
  }

  /** Returns how elements of a type are stored. */
  public static StoredType of(ElementType type) {
    return switch (type) {
      case F32 -> F32;
      case F16 -> F16;
      case BF16 -> BF16;
    };
  }

  /** Returns the type of this name in a file's header, if it is known. */
  public static Optional<StoredType> ofName(String name) {
    return Arrays.stream(values()).filter(type -> type.name().equals(name)).findFirst();
  }

  /**
   * Returns the size of so many elements, or -1 where they do not fill whole bytes.
   *
   * @throws ArithmeticException if it is 2^60 bytes or more
   */
  long byteSize(long elements) {
    long all = Math.multiplyExact(elements, bits);
    return all % Byte.SIZE == 0 ? all / Byte.SIZE : -1;
  }
}
