package dev.lorikeet.jlama.decoder;

import dev.lorikeet.files.model.Multipliers;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The logits of a step, and of each row its largest and the logarithm of the sum of exponentials.
 * Shards write it, each its own rows; the decoding thread reads it when they have ended.
 */
final class Logits {
  private final Rows rows;
  private final List<MemorySegment> views;
  private final Rows probabilities;
  private final int[] best;
  private final double[] logSumExp;

  Logits(Arena arena, int count, int vocabulary, int shards) {
    rows = Rows.allocate(arena, count, vocabulary);
    views = IntStream.range(0, count).mapToObj(rows::row).toList();
    probabilities = Rows.allocate(arena, shards, vocabulary);
    best = new int[count];
    logSumExp = new double[count];
  }

  /** Finds the largest of this shard's rows and the logarithms of their sums of exponentials. */
  void summarize(Elementwise elementwise, int count, Shard shard) {
    int mine = shard.worker();
    for (int r = shard.first(count); r < shard.end(count); r++) {
      best[r] = elementwise.argmax(rows, r);
      // The largest probability is 1 / sum of exp(logit - max), which gives the sum.
      rows.copyRow(r, probabilities, mine);
      elementwise.softmax(probabilities, mine);
      logSumExp[r] = rows.get(r, best[r]) - Math.log(probabilities.get(mine, best[r]));
    }
  }

  /** Multiplies this shard's rows, and caps them. */
  void scale(Elementwise elementwise, Multipliers multipliers, int count, Shard shard) {
    float factor = (float) multipliers.logits();
    float cap = (float) multipliers.logitCap();
    for (int r = shard.first(count); r < shard.end(count); r++) {
      elementwise.cap(rows, r, factor, cap);
    }
  }

  Rows rows() {
    return rows;
  }

  /** Returns the memory of a row; the same every time. */
  MemorySegment row(int row) {
    return views.get(row);
  }

  int best(int row) {
    return best[row];
  }

  double logSumExp(int row) {
    return logSumExp[row];
  }
}
