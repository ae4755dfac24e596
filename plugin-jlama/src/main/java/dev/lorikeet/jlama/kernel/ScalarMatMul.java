package dev.lorikeet.jlama.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The plain twin of {@link VectorMatMul}: three loops, sums in float64. The panel is an unchanged
 * copy of x.
 */
final class ScalarMatMul implements MatMul {
  @Override
  public void pack(
      ActivationPanel panel,
      MemorySegment x,
      long xStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    panel.reshape(tokens, columns);
    NativeMemory.address("x", x, tokens, columns * 4L, xStride);
    int end = NativeMemory.firstOf(shard + 1, shards, tokens);
    for (int token = NativeMemory.firstOf(shard, shards, tokens); token < end; token++) {
      MemorySegment.copy(
          x, token * xStride, panel.packed(), (long) token * columns * 4, columns * 4L);
    }
  }

  @Override
  public void multiply(
      WeightMatrix weights,
      ActivationPanel panel,
      MemorySegment y,
      long yStride,
      int shard,
      int shards) {
    MatMul.checkOutput(weights, panel, y, yStride);
    int columns = panel.columns();
    int end = NativeMemory.firstOf(shard + 1, shards, weights.rows());
    for (int row = NativeMemory.firstOf(shard, shards, weights.rows()); row < end; row++) {
      for (int token = 0; token < panel.tokens(); token++) {
        double sum = 0;
        for (int column = 0; column < columns; column++) {
          float value =
              panel.packed().get(ValueLayout.JAVA_FLOAT, ((long) token * columns + column) * 4);
          sum += (double) weights.get(row, column) * value;
        }
        y.set(ValueLayout.JAVA_FLOAT_UNALIGNED, token * yStride + row * 4L, (float) sum);
      }
    }
  }
}
