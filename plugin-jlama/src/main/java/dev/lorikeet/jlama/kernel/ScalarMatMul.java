package dev.lorikeet.jlama.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The plain twin of {@link VectorMatMul}: three loops, sums in float64. The panel is an unchanged
 * copy of x.
 */
final class ScalarMatMul implements MatMul {
  @Override
  public void pack(ActivationPanel panel, Rows x, int tokens, Shard shard) {
    int columns = x.columns();
    panel.reshape(tokens, columns);
    x.check("x", tokens, columns);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      long to = (long) token * columns * 4;
      MemorySegment.copy(x.segment(), token * x.stride(), panel.packed(), to, columns * 4L);
    }
  }

  @Override
  public void pack(ActivationPanel panel, Rows x, ExpertGroups groups, int expert, Shard shard) {
    int columns = x.columns();
    int first = groups.first(expert);
    int count = groups.end(expert) - first;
    panel.reshape(count, columns);
    for (int i = shard.first(count); i < shard.end(count); i++) {
      int token = groups.token(first + i);
      x.check("x", token + 1, columns);
      long to = (long) i * columns * 4;
      MemorySegment.copy(x.segment(), token * x.stride(), panel.packed(), to, columns * 4L);
    }
  }

  @Override
  public void multiply(WeightMatrix weights, ActivationPanel panel, Rows y, Shard shard) {
    MatMul.checkOutput(weights, panel, y);
    int columns = panel.columns();
    int tokens = panel.tokens();
    for (int row = shard.first(weights.rows()); row < shard.end(weights.rows()); row++) {
      for (int token = 0; token < tokens; token++) {
        double sum = 0;
        for (int column = 0; column < columns; column++) {
          float value =
              panel.packed().get(ValueLayout.JAVA_FLOAT, ((long) token * columns + column) * 4);
          sum += (double) weights.get(row, column) * value;
        }
        if (!shard.beginStore()) {
          return;
        }
        y.set(token, row, (float) sum);
        shard.endStore();
      }
    }
  }
}
