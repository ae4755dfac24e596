package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * The readable twin: y[t] += weight * scaling * B (A x[t]) and W = W0 + sum of weight * scaling * B
 * A as the formulas say it, one loop per sum, accumulated in double. Runs on the calling thread;
 * takes heap and native memory alike. A weight of zero adds zero times the delta, as IEEE 754 has
 * it.
 */
final class ScalarLoraExecutor implements LoraExecutor {
  private final ScalarLoraGradients gradients = new ScalarLoraGradients(this::checkOpen);
  private boolean closed;
  private double[] shrunk = new double[64];
  private double[] row = new double[64];

  @Override
  public Device device() {
    return Device.HOST;
  }

  @Override
  public boolean merges(ElementType type, Device device) {
    return device.isHost();
  }

  @Override
  public boolean takes(TargetModule module) {
    return module.projection() != Projection.EMBED;
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    checkOpen();
    LoraArguments.checkActivations(targets, batch, x, y);
    for (int s = 0; s < batch.segments(); s++) {
      AdapterLease adapter = batch.adapter(s);
      for (int i = 0; i < y.size(); i++) {
        TargetModule target = targets.targets().get(i);
        var weights = adapter.weights(target);
        if (weights.isPresent()) {
          LoraArguments.checkWeights(
              adapter.spec().id(), target, weights.get(), x.columns(), y.get(i).columns());
        }
      }
    }
    for (int s = 0; s < batch.segments(); s++) {
      for (int i = 0; i < y.size(); i++) {
        var weights = batch.adapter(s).weights(targets.targets().get(i));
        if (weights.isPresent()) {
          for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
            addDelta(weights.get(), batch.weight(e), batch.token(e), x, y.get(i));
          }
        }
      }
    }
  }

  private void addDelta(LoraWeights weights, float weight, int token, Tensor x, Tensor y) {
    LoraFactor a = weights.a();
    LoraFactor b = weights.b();
    double factor = (double) weight * weights.scaling();
    shrunk = atLeast(shrunk, weights.rank());
    for (int r = 0; r < weights.rank(); r++) {
      double sum = 0;
      for (int j = 0; j < a.rowLength(); j++) {
        sum += (double) at(a, r, j) * at(x, token, a.rowStart(r) + j);
      }
      shrunk[r] = factor * sum;
    }
    int out = b.width();
    row = atLeast(row, out);
    Arrays.fill(row, 0, out, 0);
    for (int r = 0; r < weights.rank(); r++) {
      for (int j = 0; j < b.rowLength(); j++) {
        row[b.rowStart(r) + j] += shrunk[r] * at(b, r, j);
      }
    }
    for (int o = 0; o < out; o++) {
      set(y, token, o, (float) (at(y, token, o) + row[o]));
    }
  }

  @Override
  public void switchMerged(MergePlan plan) {
    checkOpen();
    LoraArguments.checkPlan(plan);
    for (MergePlan.Target target : plan.targets()) {
      for (int o = 0; o < target.pristine().rows(); o++) {
        mergeRow(plan.mixture(), target, o);
      }
    }
  }

  private void mergeRow(List<MergePlan.Share> mixture, MergePlan.Target target, int o) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    int in = Math.toIntExact(pristine.columns());
    row = atLeast(row, in);
    Arrays.fill(row, 0, in, 0);
    boolean changed = false;
    for (MergePlan.Share share : mixture) {
      var found = share.adapter().weights(target.module());
      if (found.isEmpty()) {
        continue;
      }
      changed = true;
      LoraFactor a = found.get().a();
      LoraFactor b = found.get().b();
      double factor = (double) share.weight() * found.get().scaling();
      for (int r = 0; r < a.rank(); r++) {
        int column = o - b.rowStart(r);
        if (column < 0 || column >= b.rowLength()) {
          continue;
        }
        for (int j = 0; j < a.rowLength(); j++) {
          row[a.rowStart(r) + j] += factor * at(b, r, column) * at(a, r, j);
        }
      }
    }
    if (changed) {
      for (int j = 0; j < in; j++) {
        set(merged, o, j, (float) (at(pristine, o, j) + row[j]));
      }
    } else {
      merged
          .segment()
          .asSlice(o * merged.rowStrideBytes(), (long) in * merged.type().bytes())
          .copyFrom(
              pristine
                  .segment()
                  .asSlice(o * pristine.rowStrideBytes(), (long) in * pristine.type().bytes()));
    }
  }

  @Override
  public Optional<LoraGradients> gradients() {
    return Optional.of(gradients);
  }

  @Override
  public void close() {
    closed = true;
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the executor is closed");
    }
  }

  private static float at(LoraFactor factor, int rank, int column) {
    long offset = factor.rowOffset(rank) + (long) column * factor.type().bytes();
    return factor.type().read(factor.memory(), offset);
  }

  private static float at(Tensor tensor, long row, long column) {
    long offset = (row * tensor.rowStride() + column) * tensor.type().bytes();
    return tensor.type().read(tensor.segment(), offset);
  }

  private static void set(Tensor tensor, long row, long column, float value) {
    long offset = (row * tensor.rowStride() + column) * tensor.type().bytes();
    tensor.type().write(tensor.segment(), offset, value);
  }

  private static double[] atLeast(double[] scratch, int length) {
    return scratch.length >= length ? scratch : new double[Math.max(length, 2 * scratch.length)];
  }
}
