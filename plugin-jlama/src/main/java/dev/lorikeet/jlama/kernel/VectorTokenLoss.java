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
   * The streaming sum of exponentials (Milakov and Gimelshein 2018) over chunks: in a chunk float32, L partial sums,
   * added in the order of the lanes; over chunks float64. A largest logit is found by comparing and choosing, so a NaN
   * is never the largest, but it is in the sum.
   */
  @Override
  public float take(Rows logits, int row, int columns, double[] max, double[] sum) {
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
    double factor = max[row] == most ? 1 : StrictMath.exp(max[row] - most);
    double total = sum[row] * factor;
    for (int i = 0; i < L; i++) {
      total += sums.lane(i);
    }
    for (int i = vectors * L; i < columns; i++) {
      total += NativeMemory.get(at + i * 4L);
    }
    max[row] = most;
    sum[row] = total;
    return (float) factor;
  }

  @Override
  public void addAndScale(Rows x, Rows y, int row, float factor) {
    int columns = y.columns();
    long from = x.address("x", row + 1, columns) + row * x.stride() & ADDRESS;
    long to = y.address("y", row + 1, columns) + row * y.stride() & ADDRESS;
    int vectors = columns / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector.fromMemorySegment(F, ALL, to + i * BYTES, LE)
          .add(FloatVector.fromMemorySegment(F, ALL, from + i * BYTES, LE))
          .mul(factor)
          .intoMemorySegment(ALL, to + i * BYTES, LE);
    }
    for (int i = vectors * L; i < columns; i++) {
      float sum = NativeMemory.get(to + i * 4L) + NativeMemory.get(from + i * 4L);
      NativeMemory.set(to + i * 4L, factor * sum);
    }
  }

  @Override
  public void gradient(
      WeightMatrix output, int label, Rows expected, Rows dx, int row, float coefficient) {
    for (int i = 0; i < dx.columns(); i++) { // one row of weights, beside all of them
      dx.set(row, i, coefficient * (output.get(label, i) - expected.get(row, i)));
    }
  }
}
