package com.example.executor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;

/**
 * A complete LoRA executor in plain Java.
 *
 * <p>The outputs are split over the workers by columns: each worker computes all of {@code A x} for
 * itself, which costs {@code workers * rank * in} per token, and writes only its own columns, so
 * that no two workers ever write the same memory. Everything is checked before the first write.
 * Merging is not offered; the host then uses deltas alone.
 */
class PlainExecutor implements LoraExecutor {
  private static final ValueLayout.OfFloat F32 =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final Workers workers;
  private boolean closed;

  PlainExecutor(Workers workers) {
    this.workers = workers;
  }

  @Override
  public Device device() {
    return Device.HOST;
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    if (closed) {
      throw new IllegalStateException("plain-java: closed");
    }
    check(targets, batch, x, y);
    workers.run(
        (shard, shards) -> {
          for (int s = 0; s < batch.segments(); s++) {
            for (int m = 0; m < y.size(); m++) {
              addSegment(targets, batch, s, x, y.get(m), m, shard, shards);
            }
          }
        });
  }

  private void addSegment(
      TargetGroup targets,
      LoraBatch batch,
      int s,
      Tensor x,
      Tensor y,
      int m,
      int shard,
      int shards) {
    var found = batch.adapter(s).weights(targets.targets().get(m));
    if (found.isEmpty()) {
      return;
    }
    LoraWeights w = found.get();
    int columns = (int) y.columns();
    int from = (int) ((long) columns * shard / shards);
    int to = (int) ((long) columns * (shard + 1) / shards);
    for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
      int token = batch.token(e);
      float factor = batch.weight(e) * w.scaling();
      for (int r = 0; r < w.rank(); r++) {
        addRow(w.b(), r, factor * shrink(w.a(), r, x, token), y, token, from, to);
      }
    }
  }

  /** Returns row {@code r} of A times the token's input: the elements of the row's block alone. */
  float shrink(LoraFactor a, int r, Tensor x, int token) {
    long input = token * x.rowStrideBytes() + 4L * a.rowStart(r);
    float sum = 0;
    for (int i = 0; i < a.rowLength(); i++) {
      sum = Math.fma(element(a, r, i), x.segment().get(F32, input + 4L * i), sum);
    }
    return sum;
  }

  /** Adds a multiple of row {@code r} of B transposed to the columns {@code [from, to)}. */
  private static void addRow(
      LoraFactor b, int r, float factor, Tensor y, int token, int from, int to) {
    int start = b.rowStart(r);
    long output = token * y.rowStrideBytes();
    for (int o = Math.max(from, start); o < Math.min(to, start + b.rowLength()); o++) {
      long at = output + 4L * o;
      float sum = Math.fma(factor, element(b, r, o - start), y.segment().get(F32, at));
      y.segment().set(F32, at, sum);
    }
  }

  private static float element(LoraFactor factor, int row, int index) {
    long at = factor.rowOffset(row) + (long) index * factor.type().bytes();
    return factor.type().read(factor.memory(), at);
  }

  private void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    int modules = targets.targets().size();
    if (y.size() != modules) {
      throw new IllegalArgumentException("y: expected " + modules + " outputs, found " + y.size());
    }
    checkActivations("x", x, batch.tokens());
    for (int m = 0; m < modules; m++) {
      checkActivations("y[" + m + "]", y.get(m), batch.tokens());
      for (int s = 0; s < batch.segments(); s++) {
        var found = batch.adapter(s).weights(targets.targets().get(m));
        if (found.isPresent()) {
          checkColumns("x", x, found.get().a());
          checkColumns("y[" + m + "]", y.get(m), found.get().b());
        }
      }
    }
  }

  private void checkActivations(String name, Tensor tensor, int tokens) {
    if (tensor.type() != ElementType.F32 || !tensor.device().isHost()) {
      throw new IllegalArgumentException(name + ": expected F32 on the host, found " + tensor);
    }
    if (tensor.rows() < tokens) {
      throw new IllegalArgumentException(
          name + ": expected at least " + tokens + " rows, found " + tensor.rows());
    }
  }

  private static void checkColumns(String name, Tensor tensor, LoraFactor factor) {
    if (tensor.columns() != factor.width()) {
      throw new IllegalArgumentException(
          name + ": expected " + factor.width() + " columns, found " + tensor.columns());
    }
  }

  @Override
  public void switchMerged(MergePlan plan) {
    throw new UnsupportedOperationException("plain-java: merges no weights");
  }

  @Override
  public void close() {
    closed = true;
  }
}
