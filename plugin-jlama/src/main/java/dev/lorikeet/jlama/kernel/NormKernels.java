package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** The norms of {@link VectorElementwise}, a row at a time. */
final class NormKernels {
  /*
   * Sums across a row are kept in one vector, element i in lane i mod L, and reduced in the order of the lanes. A layer
   * norm takes the mean first and then the squares of what is left: the mean of the squares less the square of the mean
   * would cancel where the mean is large. The row stays in the first level of the cache, so a pass more costs little.
   */

  private NormKernels() {}

  /** An RMS norm of a row of {@code columns} elements. */
  static void rmsNorm(long from, long weight, float epsilon, long to, int columns) {
    long x = from & ADDRESS;
    long w = weight & ADDRESS;
    long y = to & ADDRESS;
    int vectors = columns / L;
    FloatVector squares = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE);
      squares = value.fma(value, squares);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    long tail = vectors * BYTES;
    if (rest.anyTrue()) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + tail, LE, rest);
      squares = value.fma(value, squares);
    }
    float sum = 0;
    for (int i = 0; i < L; i++) {
      sum += squares.lane(i);
    }
    float scale = (float) (1 / Math.sqrt(sum / columns + epsilon));
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE);
      value
          .mul(scale)
          .mul(FloatVector.fromMemorySegment(F, ALL, w + i * BYTES, LE))
          .intoMemorySegment(ALL, y + i * BYTES, LE);
    }
    if (rest.anyTrue()) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + tail, LE, rest);
      value
          .mul(scale)
          .mul(FloatVector.fromMemorySegment(F, ALL, w + tail, LE, rest))
          .intoMemorySegment(ALL, y + tail, LE, rest);
    }
  }

  /** A layer norm of a row of {@code columns} elements. */
  static void layerNorm(long from, long weight, long bias, float epsilon, long to, int columns) {
    float mean = (float) (sum(from, columns) / columns);
    float scale = (float) (1 / Math.sqrt(squares(from, mean, columns) / columns + epsilon));
    long x = from & ADDRESS;
    long w = weight & ADDRESS;
    long b = bias & ADDRESS;
    long y = to & ADDRESS;
    int vectors = columns / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE)
          .sub(mean)
          .mul(scale)
          .fma(
              FloatVector.fromMemorySegment(F, ALL, w + i * BYTES, LE),
              FloatVector.fromMemorySegment(F, ALL, b + i * BYTES, LE))
          .intoMemorySegment(ALL, y + i * BYTES, LE);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    if (rest.anyTrue()) {
      long tail = vectors * BYTES;
      FloatVector.fromMemorySegment(F, ALL, x + tail, LE, rest)
          .sub(mean)
          .mul(scale)
          .fma(
              FloatVector.fromMemorySegment(F, ALL, w + tail, LE, rest),
              FloatVector.fromMemorySegment(F, ALL, b + tail, LE, rest))
          .intoMemorySegment(ALL, y + tail, LE, rest);
    }
  }

  private static double sum(long from, int columns) {
    long x = from & ADDRESS;
    int vectors = columns / L;
    FloatVector sums = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      sums = sums.add(FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE));
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    if (rest.anyTrue()) {
      sums = sums.add(FloatVector.fromMemorySegment(F, ALL, x + vectors * BYTES, LE, rest));
    }
    double sum = 0;
    for (int i = 0; i < L; i++) {
      sum += sums.lane(i);
    }
    return sum;
  }

  /** Returns the sum of the squares of what is left of a row without its mean. */
  private static double squares(long from, float mean, int columns) {
    long x = from & ADDRESS;
    int vectors = columns / L;
    FloatVector squares = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE).sub(mean);
      squares = value.fma(value, squares);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    if (rest.anyTrue()) {
      // Lanes that are not loaded are 0 and stay 0.
      FloatVector value =
          FloatVector.fromMemorySegment(F, ALL, x + vectors * BYTES, LE, rest).sub(mean, rest);
      squares = value.fma(value, squares);
    }
    double sum = 0;
    for (int i = 0; i < L; i++) {
      sum += squares.lane(i);
    }
    return sum;
  }
}
