package dev.lorikeet.jlama.gguf;

import dev.lorikeet.files.safetensors.StoredType;
import java.util.Arrays;

/** Decodes blocks of GGUF files byte by byte, in float64: the reference for what is fast. */
public final class BlockDecoder {
  private BlockDecoder() {}

  /** Returns the elements of blocks that follow one another. */
  public static float[] decodeAll(StoredType type, byte[] blocks) {
    int bytes = Math.toIntExact(type.byteSize(type.blockElements()));
    float[] all = new float[blocks.length / bytes * type.blockElements()];
    int at = 0;
    for (int block = 0; block < blocks.length; block += bytes) {
      for (double value : decode(type, Arrays.copyOfRange(blocks, block, block + bytes))) {
        all[at++] = (float) value;
      }
    }
    return all;
  }

  /** Returns the elements of a block. */
  public static double[] decode(StoredType type, byte[] block) {
    return switch (type) {
      case Q8_0 -> q80(block);
      case Q4_0 -> q40(block);
      case Q5_0 -> q50(block);
      case Q4_K -> q4k(block);
      case Q5_K -> q5k(block);
      case Q6_K -> q6k(block);
      default -> throw new IllegalArgumentException(type + " has no blocks");
    };
  }

  private static double half(byte[] b, int at) {
    int bits = (b[at] & 255) | (b[at + 1] & 255) << 8;
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double value =
        exponent == 0
            ? Math.scalb((double) fraction, -24)
            : Math.scalb(1024.0 + fraction, exponent - 25);
    return bits >= 1 << 15 ? -value : value;
  }

  private static double[] q80(byte[] b) {
    double[] out = new double[32];
    for (int i = 0; i < 32; i++) {
      out[i] = half(b, 0) * b[2 + i];
    }
    return out;
  }

  private static double[] q40(byte[] b) {
    double[] out = new double[32];
    for (int i = 0; i < 16; i++) {
      int pair = b[2 + i] & 255;
      out[i] = half(b, 0) * (pair % 16 - 8);
      out[i + 16] = half(b, 0) * (pair - pair % 16 - 128) / 16;
    }
    return out;
  }

  private static double[] q50(byte[] b) {
    double[] out = new double[32];
    for (int i = 0; i < 32; i++) {
      int pair = b[6 + i % 16] & 255;
      int low = i < 16 ? pair & 0x0f : pair >> 4;
      boolean upper = (b[2 + i / 8] & 1 << i % 8) != 0;
      out[i] = half(b, 0) * (low - (upper ? 0 : 16));
    }
    return out;
  }

  /** As Q4_K's blocks without the upper bits, each of which is worth 16 scales. */
  private static double[] q5k(byte[] b) {
    byte[] without = new byte[144];
    System.arraycopy(b, 0, without, 0, 16);
    System.arraycopy(b, 48, without, 16, 128);
    double[] out = q4k(without);
    byte[] ones = without.clone();
    ones[2] = 0;
    ones[3] = 0; // no minima
    Arrays.fill(ones, 16, 144, (byte) 0x88);
    double[] eight = q4k(ones);
    for (int i = 0; i < 256; i++) {
      boolean upper = (b[16 + i % 32] & 1 << i / 32) != 0;
      out[i] += upper ? 2 * eight[i] : 0;
    }
    return out;
  }

  private static double[] q4k(byte[] b) {
    int[] scales = new int[8];
    int[] minima = new int[8];
    for (int j = 0; j < 4; j++) {
      int first = b[4 + j] & 255;
      int second = b[8 + j] & 255;
      int third = b[12 + j] & 255;
      scales[j] = first % 64;
      minima[j] = second % 64;
      scales[j + 4] = (third & 0x0f) | (first & 0xc0) >> 2;
      minima[j + 4] = (third & 0xf0) >> 4 | (second & 0xc0) >> 2;
    }
    double[] out = new double[256];
    int at = 16;
    for (int i = 0; i < 256; i += 64) {
      for (int j = 0; j < 32; j++) {
        int pair = b[at++] & 255;
        int low = pair & 0x0f;
        int high = pair >> 4;
        out[i + j] = half(b, 0) * scales[i / 32] * low - half(b, 2) * minima[i / 32];
        out[i + 32 + j] = half(b, 0) * scales[i / 32 + 1] * high - half(b, 2) * minima[i / 32 + 1];
      }
    }
    return out;
  }

  private static double[] q6k(byte[] b) {
    double[] out = new double[256];
    for (int start = 0; start < 256; start += 128) {
      int low = start / 2;
      int high = 128 + start / 4;
      int scale = 192 + start / 16;
      for (int j = 0; j < 32; j++) {
        int first = b[low + j] & 255;
        int second = b[low + 32 + j] & 255;
        int upper = b[high + j] & 255;
        int[] numbers = {
          (first & 0x0f) | (upper & 0x03) << 4,
          (second & 0x0f) | (upper & 0x0c) << 2,
          first >> 4 | (upper & 0x30),
          second >> 4 | (upper & 0xc0) >> 2
        };
        for (int part = 0; part < 4; part++) {
          int s = b[scale + 2 * part + j / 16];
          out[start + 32 * part + j] = half(b, 208) * s * (numbers[part] - 32);
        }
      }
    }
    return out;
  }
}
