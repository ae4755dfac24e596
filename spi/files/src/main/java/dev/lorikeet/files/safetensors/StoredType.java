package dev.lorikeet.files.safetensors;

import dev.lorikeet.tensor.ElementType;
import java.util.Arrays;
import java.util.Optional;

/**
 * How a file stores elements: the types of safetensors, the one that Jlama adds, and blocks of
 * quantized weights as GGUF files have them.
 */
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
  Q4(4),
  /** GGUF's blocks of 32 elements: a scale in binary16, then a signed byte each. */
  Q8_0(32, 34),
  /** GGUF's blocks of 32 elements: a scale in binary16, then two elements to a byte. */
  Q4_0(32, 18),
  /** GGUF's blocks of 32 elements of 5 bits, with a scale in binary16. */
  Q5_0(32, 22),
  /** GGUF's blocks of 256 elements of 5 bits, with scales and minima of 6 bits for each 32. */
  Q5_K(256, 176),
  /** GGUF's blocks of 256 elements of 4 bits, with scales and minima of 6 bits for each 32. */
  Q4_K(256, 144),
  /** GGUF's blocks of 256 elements of 6 bits, with scales of 8 bits for each 16. */
  Q6_K(256, 210);

  private final int blockElements;
  private final int blockBits;

  StoredType(int bits) {
    this.blockElements = 1;
    this.blockBits = bits;
  }

  StoredType(int elements, int bytes) {
    this.blockElements = elements;
    this.blockBits = bytes * Byte.SIZE;
  }

  /** Returns how many elements of a row are stored together; 1 for types of single elements. */
  public int blockElements() {
    return blockElements;
  }

  /** Returns how many bits an element takes, the scales of its block apart. */
  public int bits() {
    return blockBits / blockElements;
  }

  /** Returns whether elements are stored in blocks, which only GGUF files have. */
  public boolean inBlocks() {
    return blockElements > 1;
  }

  /** Returns how elements of a type are stored. */
  public static StoredType of(ElementType type) {
    return switch (type) {
      case F32 -> F32;
      case F16 -> F16;
      case BF16 -> BF16;
    };
  }

  /** Returns the type of this name in the header of a safetensors file, if it is known. */
  public static Optional<StoredType> ofName(String name) {
    return Arrays.stream(values())
        .filter(type -> type.name().equals(name) && !type.inBlocks())
        .findFirst();
  }

  /**
   * Returns the size of so many elements, or -1 where they do not fill whole blocks and bytes.
   *
   * @throws ArithmeticException if it is 2^60 bytes or more
   */
  public long byteSize(long elements) {
    if (elements % blockElements != 0) {
      return -1;
    }
    long all = Math.multiplyExact(elements / blockElements, blockBits);
    return all % Byte.SIZE == 0 ? all / Byte.SIZE : -1;
  }
}
