package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Norms of the rows of weights, frozen or with an adapter: what magnitudes are divided by (DoRA).
 * Thread-safe.
 */
public final class RowNorms {
  /*
   * Idea. |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A') b' for a row w of W and its row b of B, so that nothing of
   * the size of W is made: A w of all rows is a product of W with rank tokens, the kernels' own, and A A' is
   * [rank, rank]. |w|^2 is computed once. Sums are in double precision: what is left of terms that cancel is as good as
   * float32 has it.
   *
   * Cost for each module of an adapter: that of rank tokens forward, and out * rank^2 flops; once for each module of
   * the model, a pass over its weights with one thread.
   */
  private static final int UNROLLED = 4;

  private final Map<TargetModule, double[]> frozen = new ConcurrentHashMap<>();

  /** Creates norms of no weights yet. */
  public RowNorms() {}

  /** Multiplies weights by rows, with whatever threads and scratch memory the caller has. */
  @FunctionalInterface
  public interface Products {
    /**
     * Computes {@code y = x W^T}.
     *
     * @param weight W, {@code [out, in]}
     * @param x {@code [count, in]}
     * @param y {@code [count, out]}, overwritten
     */
    void multiply(WeightMatrix weight, Rows x, int count, Rows y);
  }

  /** Returns the squares of the norms of a frozen weight's rows; computed once. */
  public double[] squares(TargetModule target, WeightMatrix weight) {
    return frozen.computeIfAbsent(target, t -> squares(weight));
  }

  private static double[] squares(WeightMatrix weight) {
    double[] squares = new double[weight.rows()];
    for (int row = 0; row < squares.length; row++) {
      squares[row] =
          weight instanceof WeightMatrix.Floats floats && floats.type() == ElementType.BF16
              ? squareOfBf16(floats, row)
              : square(weight, row);
    }
    return squares;
  }

  private static double square(WeightMatrix weight, int row) {
    double sum = 0;
    for (int column = 0; column < weight.columns(); column++) {
      double w = weight.get(row, column);
      sum += w * w;
    }
    return sum;
  }

  /** The type of most models, read without a switch for each element. */
  private static double squareOfBf16(WeightMatrix.Floats weight, int row) {
    MemorySegment segment = weight.segment();
    long begin = (long) row * weight.columns() * Short.BYTES;
    double[] sums = new double[UNROLLED];
    for (int column = 0; column < weight.columns(); column++) {
      short bits =
          segment.get(ValueLayout.JAVA_SHORT_UNALIGNED, begin + (long) column * Short.BYTES);
      double w = Float.intBitsToFloat(bits << 16);
      sums[column % UNROLLED] += w * w;
    }
    return sums[0] + sums[1] + sums[2] + sums[3];
  }

  /**
   * Returns the norms of the rows of a weight with an adapter's product added.
   *
   * @param lora dense factors of any type
   * @param weight the module's weight
   * @param most the most rows that a product takes
   * @param products multiplies the weight
   */
  public double[] adapted(LoraWeights lora, WeightMatrix weight, int most, Products products) {
    double[] norms = squares(lora.target(), weight).clone();
    int rank = lora.rank();
    float[][] a = rows(lora.a());
    float[][] b = rows(lora.b());
    double scaling = lora.scaling();
    double[][] gram = gram(a);
    int atOnce = Math.min(rank, most);
    try (Arena arena = Arena.ofShared()) {
      Rows x = Rows.allocate(arena, atOnce, weight.columns());
      Rows y = Rows.allocate(arena, atOnce, weight.rows());
      for (int first = 0; first < rank; first += atOnce) {
        int count = Math.min(atOnce, rank - first);
        for (int r = 0; r < count; r++) {
          MemorySegment.copy(
              a[first + r], 0, x.row(r), ValueLayout.JAVA_FLOAT, 0, weight.columns());
        }
        products.multiply(weight, x, count, y);
        for (int r = 0; r < count; r++) {
          for (int j = 0; j < norms.length; j++) {
            norms[j] += 2 * scaling * b[first + r][j] * y.get(r, j);
          }
        }
      }
    }
    for (int j = 0; j < norms.length; j++) {
      double sum = 0;
      for (int k = 0; k < rank; k++) {
        for (int l = 0; l < rank; l++) {
          sum += (double) b[k][j] * b[l][j] * gram[k][l];
        }
      }
      norms[j] = Math.sqrt(Math.max(0, norms[j] + scaling * scaling * sum));
    }
    return norms;
  }

  private static float[][] rows(LoraFactor factor) {
    if (factor.blocks() > 1) {
      throw new IllegalArgumentException(
          "magnitudes: expected dense factors, found " + factor.blocks() + " blocks");
    }
    float[][] rows = new float[factor.rank()][factor.width()];
    int bytes = factor.type().bytes();
    for (int r = 0; r < rows.length; r++) {
      for (int i = 0; i < rows[r].length; i++) {
        rows[r][i] = factor.type().read(factor.memory(), factor.rowOffset(r) + (long) i * bytes);
      }
    }
    return rows;
  }

  private static double[][] gram(float[][] a) {
    double[][] gram = new double[a.length][a.length];
    for (int k = 0; k < a.length; k++) {
      for (int l = 0; l <= k; l++) {
        double sum = 0;
        for (int i = 0; i < a[k].length; i++) {
          sum += (double) a[k][i] * a[l][i];
        }
        gram[k][l] = sum;
        gram[l][k] = sum;
      }
    }
    return gram;
  }
}
