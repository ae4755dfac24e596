package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.stage.MicroBatch;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Room for the input of an adapter's modules with elements left out, and for its gradient.
 *
 * @param x the input, {@code [tokens, widest input]}
 * @param dx the gradient
 */
record DroppedInput(Rows x, Rows dx) {
  /*
   * Idea. What is left out is drawn again wherever it is needed, from the sequence's key: a number of 64 bits for four
   * elements, about as long as loading them. The base model sees the whole input, the adapter the rest, so the
   * gradient of what the adapter saw is taken by itself and added with the same elements left out. Sequences that do
   * without nothing go on from the gradient that is there, as they do where nobody does without anything: floating
   * point sums depend on their order, and a task must not notice what others leave out.
   */

  /** Returns an input with elements left out, in this room. */
  Rows of(Rows whole, TargetModule first, MicroBatch batch, WorkerTeam team) {
    Rows to = narrow(x, whole.columns());
    team.run(
        (index, count) -> {
          float[] row = new float[whole.columns()];
          Shard shard = new Shard(index, count);
          for (int s = 0; s < batch.sequences(); s++) {
            for (int t = first(shard, batch, s); t < end(shard, batch, s); t++) {
              load(whole, t, row);
              apply(batch, s, t, first, row);
              store(row, to, t);
            }
          }
        });
    return to;
  }

  /** Returns room for the gradient of what is seen: zero where something is left out. */
  Rows gradient(Rows whole, MicroBatch batch) {
    Rows rows = narrow(dx, whole.columns());
    for (int s = 0; s < batch.sequences(); s++) {
      for (int t = batch.start(s); t < batch.start(s + 1); t++) {
        if (batch.dropout(s).drops()) {
          rows.row(t).fill((byte) 0);
        } else {
          whole.copyRow(t, rows, t);
        }
      }
    }
    return rows;
  }

  /** Adds a gradient of what was seen to that of the whole input. */
  void add(Rows seen, Rows to, TargetModule first, MicroBatch batch, WorkerTeam team) {
    team.run(
        (index, count) -> {
          float[] row = new float[to.columns()];
          float[] sum = new float[to.columns()];
          Shard shard = new Shard(index, count);
          for (int s = 0; s < batch.sequences(); s++) {
            for (int t = first(shard, batch, s); t < end(shard, batch, s); t++) {
              if (!batch.dropout(s).drops()) {
                seen.copyRow(t, to, t);
                continue;
              }
              load(seen, t, row);
              apply(batch, s, t, first, row);
              load(to, t, sum);
              for (int i = 0; i < row.length; i++) {
                sum[i] += row[i];
              }
              store(sum, to, t);
            }
          }
        });
  }

  private static int first(Shard shard, MicroBatch batch, int sequence) {
    return Math.max(shard.first(batch.tokens()), batch.start(sequence));
  }

  private static int end(Shard shard, MicroBatch batch, int sequence) {
    return Math.min(shard.end(batch.tokens()), batch.start(sequence + 1));
  }

  private static void apply(
      MicroBatch batch, int sequence, int token, TargetModule first, float[] row) {
    batch
        .dropout(sequence)
        .apply(first.layer(), first.projection(), batch.position(token), row, row.length);
  }

  private static Rows narrow(Rows rows, int columns) {
    return new Rows(rows.segment(), rows.stride(), rows.rows(), columns);
  }

  private static void load(Rows from, int token, float[] row) {
    MemorySegment.copy(from.row(token), ValueLayout.JAVA_FLOAT, 0, row, 0, row.length);
  }

  private static void store(float[] row, Rows to, int token) {
    MemorySegment.copy(row, 0, to.row(token), ValueLayout.JAVA_FLOAT, 0, row.length);
  }
}
