package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * How GGUF files quantize weights: consecutive elements of a row lie together in a block, with what
 * scales them. Facts of the format: ggml's {@code ggml-common.h}.
 *
 * <pre>{@code
 * Q8_0, 32 elements, 34 bytes: d f16 | q[32] signed             value = d q
 * Q5_0, 32 elements, 22 bytes: d f16 | high[4] | low[16]        value = d (q - 16)
 * Q4_K, 256 elements, 144 bytes: d f16 | m f16 | 12 | q[128]    value = (d s) q - (m t)
 * Q5_K, 256 elements, 176 bytes: d f16 | m f16 | 12 | high[32] | low[128]
 *                                                               value = (d s) q - (m t)
 * Q6_K, 256 elements, 210 bytes: low[128] | high[64] | s[16] signed | d f16
 *                                                               value = (d s) (q - 32)
 * }</pre>
 *
 * <p>Q5_0 has the low four bits of elements 0 to 15 in the low halves of the bytes of {@code low},
 * those of 16 to 31 in the high halves, and the upper bit of element i in bit i of {@code high}.
 *
 * <p>Q4_K has eight groups of 32 elements. Of two groups the 32 bytes of q hold the first in their
 * low halves, the second in their high ones. The 6-bit scales s and t of groups 0 to 3 are the low
 * six bits of bytes 0 to 3 and 4 to 7 of the twelve; those of groups 4 to 7 are the low and the
 * high halves of bytes 8 to 11, and their upper two bits are the upper two of the first eight. Q5_K
 * is the same with a fifth bit: that of element j of group g is bit g of byte j of {@code high}.
 *
 * <p>Q6_K has two halves of 128 elements, each of four groups of 32. Of the 64 bytes of {@code low}
 * of a half the low halves hold the low four bits of groups 0 and 1, the high halves those of 2 and
 * 3; byte j of the 32 of {@code high} holds the upper two bits of element j of all four. There is a
 * scale for each 16 elements.
 *
 * <p>All products are exact in float32, so that a value is rounded once at most.
 */
public enum BlockType {
  /** A scale and a signed byte for each of 32 elements. */
  Q8_0(32, 34),
  /** A scale and 5 bits for each of 32 elements. */
  Q5_0(32, 22),
  /** 4 bits an element, scales and minima of 6 bits for each 32. */
  Q4_K(256, 144),
  /** 5 bits an element, scales and minima of 6 bits for each 32. */
  Q5_K(256, 176),
  /** 6 bits an element, scales of 8 bits for each 16. */
  Q6_K(256, 210);

  /** Elements that kernels take at a time: a whole number of them makes a block. */
  static final int GROUP = 32;

  // Where the parts of blocks begin.
  static final long Q8_0_ELEMENTS = 2;
  static final long Q5_0_HIGH = 2;
  static final long Q5_0_LOW = 6;
  static final long Q4_K_MINIMUM = 2;
  static final long Q4_K_SCALES = 4;
  static final long Q4_K_ELEMENTS = 16;
  static final long Q5_K_HIGH = 16;
  static final long Q5_K_LOW = 48;
  static final long Q6_K_HIGH = 128;
  static final long Q6_K_SCALES = 192;
  static final long Q6_K_SCALE = 208;

  private final int elements;
  private final int bytes;

  BlockType(int elements, int bytes) {
    this.elements = elements;
    this.bytes = bytes;
  }

  /** Returns how many elements a block has, a multiple of 32. */
  public int elements() {
    return elements;
  }

  /** Returns how many bytes a block takes. */
  public int bytes() {
    return bytes;
  }

  /** Returns an element of a block, by its definition. */
  float get(MemorySegment blocks, long block, int element) {
    int group = element / GROUP;
    int within = element % GROUP;
    return switch (this) {
      case Q8_0 -> f16(blocks, block) * octet(blocks, block + Q8_0_ELEMENTS + within);
      case Q5_0 -> {
        int pair = octet(blocks, block + Q5_0_LOW + within % 16);
        int low = within < 16 ? pair & 15 : pair >> 4 & 15;
        int high = octet(blocks, block + Q5_0_HIGH + within / 8) >> within % 8 & 1;
        yield f16(blocks, block) * ((low | high << 4) - 16);
      }
      case Q5_K -> {
        int pair = octet(blocks, block + Q5_K_LOW + group / 2 * 32L + within);
        int low = group % 2 == 0 ? pair & 15 : pair >> 4 & 15;
        int high = octet(blocks, block + Q5_K_HIGH + within) >> group & 1;
        float scale = f16(blocks, block) * scale(blocks, block + Q4_K_SCALES, group);
        float minimum =
            f16(blocks, block + Q4_K_MINIMUM) * minimum(blocks, block + Q4_K_SCALES, group);
        yield scale * (low | high << 4) - minimum;
      }
      case Q4_K -> {
        int pair = octet(blocks, block + Q4_K_ELEMENTS + group / 2 * 32L + within);
        int nibble = group % 2 == 0 ? pair & 15 : pair >> 4 & 15;
        float scale = f16(blocks, block) * scale(blocks, block + Q4_K_SCALES, group);
        float minimum =
            f16(blocks, block + Q4_K_MINIMUM) * minimum(blocks, block + Q4_K_SCALES, group);
        yield scale * nibble - minimum;
      }
      case Q6_K -> {
        int half = group / 4;
        int part = group % 4;
        int low = octet(blocks, block + half * 64L + part % 2 * 32L + within);
        int high = octet(blocks, block + Q6_K_HIGH + half * 32L + within);
        int number = (low >> part / 2 * 4 & 15) | (high >> part * 2 & 3) << 4;
        int scale = octet(blocks, block + Q6_K_SCALES + group * 2L + within / 16);
        yield f16(blocks, block + Q6_K_SCALE) * scale * (number - 32);
      }
    };
  }

  private static int scale(MemorySegment blocks, long at, int group) {
    return group < 4
        ? octet(blocks, at + group) & 63
        : octet(blocks, at + group + 4) & 15 | (octet(blocks, at + group - 4) >> 6 & 3) << 4;
  }

  private static int minimum(MemorySegment blocks, long at, int group) {
    return group < 4
        ? octet(blocks, at + group + 4) & 63
        : octet(blocks, at + group + 4) >> 4 & 15 | (octet(blocks, at + group) >> 6 & 3) << 4;
  }

  private static int octet(MemorySegment blocks, long at) {
    return blocks.get(ValueLayout.JAVA_BYTE, at);
  }

  private static float f16(MemorySegment blocks, long at) {
    return ElementType.F16.read(blocks, at);
  }
}
