package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

/**
 * One call of {@code addGradients}: its arguments, checked, and its units of work. A unit is the
 * pair of a segment that has entries and a target module that the segment's adapter changes.
 * Reused.
 */
final class GradientCall {
  /** A pair of a segment and a target module, by its number in the group. */
  record Unit(int segment, int target, LoraWeights weights, Optional<FactorGradients.Sums> sums) {
    boolean learns() {
      return sums.isPresent();
    }
  }

  /** A tensor that is written: of two that overlap, only gradients of one factor may be one. */
  private record Written(String what, Tensor tensor, int factor) {}

  private static final Comparator<Written> BY_ADDRESS =
      Comparator.comparingLong(written -> written.tensor.segment().address());
  private static final int NO_FACTOR = -1;

  private final ArrayList<Unit> units = new ArrayList<>();
  private final ArrayList<Written> written = new ArrayList<>();

  /** Checks the arguments of a call and collects its units, ordered by segment, then by target. */
  void prepare(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
    clear();
    int outputs = targets.targets().size();
    if (dy.size() != outputs) {
      throw new IllegalArgumentException(
          "dy: expected " + outputs + " gradients, one per target module, found " + dy.size());
    }
    LoraArguments.checkActivation("x", batch.tokens(), "tokens", x);
    for (int i = 0; i < outputs; i++) {
      LoraArguments.checkActivation(
          "dy of " + targets.targets().get(i), batch.tokens(), "tokens", dy.get(i));
    }
    if (sums.dx().isPresent()) {
      Tensor dx = sums.dx().get();
      LoraArguments.checkActivation("dx", batch.tokens(), "tokens", dx);
      checkShape("dx", dx, dx.rows(), x.columns());
      written.add(new Written("dx", dx, NO_FACTOR));
    }
    if (sums.weights().isPresent()) {
      Tensor weights = sums.weights().get();
      LoraArguments.checkActivation("dw", batch.entries(), "entries", weights);
      checkShape("dw", weights, weights.rows(), 1);
      written.add(new Written("dw", weights, NO_FACTOR));
    }
    for (int s = 0; s < batch.segments(); s++) {
      AdapterLease adapter = batch.adapter(s);
      for (int i = 0; i < outputs; i++) {
        TargetModule target = targets.targets().get(i);
        Optional<LoraWeights> found = adapter.weights(target);
        if (found.isPresent()) {
          LoraArguments.checkWeights(
              adapter.spec().id(), target, found.get(), x.columns(), dy.get(i).columns());
          if (batch.segmentEnd(s) > batch.segmentStart(s)) {
            add(s, i, adapter, target, found.get(), sums.factors());
          }
        }
      }
    }
    checkWritten(targets, x, dy);
  }

  private void add(
      int s,
      int i,
      AdapterLease adapter,
      TargetModule target,
      LoraWeights weights,
      FactorGradients factors) {
    Optional<FactorGradients.Sums> sums = factors.of(adapter, target);
    if (sums.isPresent()) {
      LoraFactor a = weights.a();
      LoraFactor b = weights.b();
      String name = "adapter '" + adapter.spec().id() + "', " + target + ": gradient of ";
      checkGradient(name + "A", sums.get().a(), a.rank(), a.rowLength());
      checkGradient(name + "B", sums.get().b(), b.width(), b.rank() / b.blocks());
      written.add(new Written(name + "A", sums.get().a(), 2 * i));
      written.add(new Written(name + "B", sums.get().b(), 2 * i + 1));
    }
    units.add(new Unit(s, i, weights, sums));
  }

  private static void checkGradient(String what, Tensor tensor, long rows, long columns) {
    if (tensor.type() != ElementType.F32 || !tensor.device().isHost()) {
      throw new IllegalArgumentException(what + ": expected F32 on the host, found " + tensor);
    }
    checkShape(what, tensor, rows, columns);
    if (!tensor.segment().scope().isAlive()) {
      throw new IllegalStateException(what + ": its memory has been freed");
    }
  }

  private static void checkShape(String what, Tensor tensor, long rows, long columns) {
    if (tensor.rows() != rows || tensor.columns() != columns) {
      throw new IllegalArgumentException(
          what + ": expected [" + rows + ", " + columns + "], found " + tensor);
    }
  }

  /** Checks that nothing that is written is read only or overlaps anything else. */
  private void checkWritten(TargetGroup targets, Tensor x, List<Tensor> dy) {
    for (Written one : written) {
      if (one.tensor.segment().isReadOnly()) {
        throw new IllegalArgumentException(one.what + ": expected writable memory");
      }
      if (LoraArguments.overlap(one.tensor, x)) {
        throw new IllegalArgumentException(one.what + ": overlaps x");
      }
      for (int i = 0; i < dy.size(); i++) {
        if (LoraArguments.overlap(one.tensor, dy.get(i))) {
          throw new IllegalArgumentException(
              one.what + ": overlaps dy of " + targets.targets().get(i));
        }
      }
    }
    written.sort(BY_ADDRESS);
    for (int i = 0; i < written.size(); i++) {
      Written one = written.get(i);
      if (one.tensor.rows() == 0) {
        continue;
      }
      long end = one.tensor.segment().address() + LoraArguments.bytes(one.tensor);
      for (int j = i + 1; j < written.size(); j++) {
        Written other = written.get(j);
        if (other.tensor.segment().address() >= end) {
          break;
        }
        boolean oneSum = one.factor != NO_FACTOR && one.factor == other.factor;
        if (!(oneSum && one.tensor.equals(other.tensor))
            && LoraArguments.overlap(one.tensor, other.tensor)) {
          throw new IllegalArgumentException(one.what + " overlaps " + other.what);
        }
      }
    }
  }

  /** Forgets the adapters and tensors of the call. */
  void clear() {
    units.clear();
    written.clear();
  }

  /** Returns the units, ordered by segment, then by target. */
  List<Unit> units() {
    return units;
  }
}
