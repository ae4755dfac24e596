package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The loss of a chunk of the vocabulary on the Vector API. */
final class VectorTokenLoss implements TokenLoss {
  /*
   * The streaming sum of exponentials (Milakov and Gimelshein 2018) over chunks: in a chunk float32, 16 partial sums,
   * added in the order of the lanes; over chunks float64. A largest logit is found by comparing and choosing, so a NaN
   * is never the largest, but it is in the sum.
   */
  @Override
  public void take(Rows logits, int row, int columns, double[] max, double[] sum) {
    logits.check("logits", row + 1, logits.columns());
    long at = logits.segment().address() + row * logits.stride() & ADDRESS;
    int vectors = columns / L;
    FloatVector highest = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < vectors; i++) {
      FloatVector x = FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE);
      highest = highest.blend(x, x.compare(VectorOperators.GT, highest));
    }
    float most = (float) max[row];
    for (int i = 0; i < L; i++) {
      most = highest.lane(i) > most ? highest.lane(i) : most;
    }
    for (int i = vectors * L; i < columns; i++) {
      float x = NativeMemory.get(at + i * 4L);
      most = x > most ? x : most;
    }
    VectorElementwise.exp(at, columns, most);
    FloatVector sums = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      sums = sums.add(FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE));
    }
    double total = max[row] == most ? sum[row] : sum[row] * StrictMath.exp(max[row] - most);
    for (int i = 0; i < L; i++) {
      total += sums.lane(i);
    }
    for (int i = vectors * L; i < columns; i++) {
      total += NativeMemory.get(at + i * 4L);
    }
    max[row] = most;
    sum[row] = total;
  }

  @Override
  public void gradient(
      Rows logits, int row, int columns, int label, double logSumExp, float coefficient) {
    logits.check("logits", row + 1, logits.columns());
    long at = logits.segment().address() + row * logits.stride() & ADDRESS;
    VectorElementwise.exp(at, columns, (float) logSumExp);
    int vectors = columns / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE)
          .mul(-coefficient)
          .intoMemorySegment(ALL, at + i * BYTES, LE);
    }
    for (int i = vectors * L; i < columns; i++) {
      NativeMemory.set(at + i * 4L, NativeMemory.get(at + i * 4L) * -coefficient);
    }
    if (label >= 0) {
      NativeMemory.set(at + label * 4L, NativeMemory.get(at + label * 4L) + coefficient);
    }
  }
}
