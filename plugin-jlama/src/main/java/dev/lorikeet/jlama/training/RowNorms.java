package dev.lorikeet.jlama.training;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.TargetModule;
import java.lang.foreign.Arena;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Norms of the rows of weights, frozen or with an adapter: what magnitudes are divided by. */
final class RowNorms {
  /*
   * Idea. |w + s b A|^2 = |w|^2 + 2 s b (A w) + s^2 b (A A') b' for a row w of W and its row b of B, so that nothing of
   * the size of W is made: A w of all rows is a product of W with rank tokens, the kernels' own, and A A' is
   * [rank, rank]. |w|^2 is computed once. Sums are in double precision: what is left of terms that cancel is as good as
   * float32 has it.
   *
   * Cost for each module of an adapter and pass: that of rank tokens forward, and out * rank^2 flops.
   */
  private static final MatMul MAT_MUL = Kernels.get().matMul();

  private final Map<TargetModule, double[]> frozen = new ConcurrentHashMap<>();

  /** Returns the squares of the norms of a frozen weight's rows; computed once. */
  double[] squares(TargetModule target, WeightMatrix weight) {
    return frozen.computeIfAbsent(target, t -> squares(weight));
  }

  private static double[] squares(WeightMatrix weight) {
    double[] squares = new double[weight.rows()];
    for (int row = 0; row < squares.length; row++) {
      double sum = 0;
      for (int column = 0; column < weight.columns(); column++) {
        double w = weight.get(row, column);
        sum += w * w;
      }
      squares[row] = sum;
    }
    return squares;
  }

  /** Returns the norms of the rows of a weight with an adapter, dense factors of any type. */
  double[] adapted(LoraWeights lora, WeightMatrix weight, StageWork work, WorkerTeam team) {
    double[] norms = squares(lora.target(), weight).clone();
    int rank = lora.rank();
    float[][] a = rows(lora.a());
    float[][] b = rows(lora.b());
    double scaling = lora.scaling();
    double[][] gram = gram(a);
    int most = Math.min(rank, work.maxTokens);
    // Shards by number use the scratch memory of the workers of those numbers, one of whom may be
    // late with a part of a layer that another has computed since.
    team.quiesce();
    Arena arena = Arena.ofShared();
    try {
      Rows x = Rows.allocate(arena, most, weight.columns());
      Rows products = Rows.allocate(arena, most, weight.rows());
      for (int first = 0; first < rank; first += most) {
        int count = Math.min(most, rank - first);
        for (int r = 0; r < count; r++) {
          for (int i = 0; i < weight.columns(); i++) {
            x.set(r, i, a[first + r][i]);
          }
        }
        team.run((index, of) -> MAT_MUL.pack(work.panel, x, count, new Shard(index, of)));
        team.run(
            (index, of) ->
                MAT_MUL.multiply(weight, work.panel, products.first(count), new Shard(index, of)));
        for (int r = 0; r < count; r++) {
          for (int j = 0; j < norms.length; j++) {
            norms[j] += 2 * scaling * b[first + r][j] * products.get(r, j);
          }
        }
      }
    } finally {
      team.quiesce();
      arena.close();
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
