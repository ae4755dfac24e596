package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** What both executors check before they write anything. Constant work per tensor and factor. */
final class LoraArguments {
  private LoraArguments() {}

  /** Checks the activations of {@code addDelta}. */
  static void checkActivations(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    int outputs = targets.targets().size();
    if (y.size() != outputs) {
      throw new IllegalArgumentException(
          "y: expected " + outputs + " outputs, one per target module, found " + y.size());
    }
    checkActivation("x", batch, x);
    for (int i = 0; i < outputs; i++) {
      checkOutput(targets.targets().get(i), batch, x, y.get(i));
      for (int j = 0; j < i; j++) {
        if (overlap(y.get(i), y.get(j))) {
          throw new IllegalArgumentException(
              "y: the outputs of "
                  + targets.targets().get(j)
                  + " and "
                  + targets.targets().get(i)
                  + " overlap");
        }
      }
    }
  }

  private static void checkOutput(TargetModule target, LoraBatch batch, Tensor x, Tensor y) {
    checkActivation("y", batch, y);
    if (y.segment().isReadOnly()) {
      throw new IllegalArgumentException("y of " + target + ": expected writable memory");
    }
    if (overlap(x, y)) {
      throw new IllegalArgumentException("y of " + target + ": overlaps x");
    }
  }

  private static void checkActivation(String what, LoraBatch batch, Tensor tensor) {
    checkActivation(what, batch.tokens(), "tokens", tensor);
  }

  /** Checks an F32 tensor that has a row for each of so many tokens or entries. */
  static void checkActivation(String what, int rows, String each, Tensor tensor) {
    if (tensor.type() != ElementType.F32 || !tensor.device().isHost()) {
      throw new IllegalArgumentException(
          what + ": expected F32 activations on the host, found " + tensor);
    }
    if (tensor.rows() < rows) {
      throw new IllegalArgumentException(
          what + ": expected a row for each of " + rows + " " + each + ", found " + tensor);
    }
    if (!tensor.segment().scope().isAlive()) {
      throw new IllegalStateException(what + ": its memory has been freed");
    }
  }

  /** Checks that an adapter's factors fit a target module of {@code out} by {@code in}. */
  static void checkWeights(
      String adapter, TargetModule target, LoraWeights weights, long in, long out) {
    checkFactor(adapter, target, "A", weights.a(), in);
    checkFactor(adapter, target, "B", weights.b(), out);
  }

  private static void checkFactor(
      String adapter, TargetModule target, String name, LoraFactor factor, long features) {
    if (factor.width() != features || !factor.device().isHost()) {
      throw new IllegalArgumentException(
          "adapter '"
              + adapter
              + "', "
              + target
              + ": expected a factor "
              + name
              + " of "
              + features
              + " features on the host, found "
              + factor
              + "@"
              + factor.device());
    }
  }

  /** Checks everything about a plan, its adapters included. */
  static void checkPlan(MergePlan plan) {
    for (MergePlan.Target target : plan.targets()) {
      checkMergeTarget(target);
    }
    for (MergePlan.Share share : plan.mixture()) {
      for (MergePlan.Target target : plan.targets()) {
        Tensor pristine = target.pristine();
        share
            .adapter()
            .weights(target.module())
            .ifPresent(
                weights ->
                    checkWeights(
                        share.adapter().spec().id(),
                        target.module(),
                        weights,
                        pristine.columns(),
                        pristine.rows()));
      }
    }
  }

  private static void checkMergeTarget(MergePlan.Target target) {
    Tensor pristine = target.pristine();
    Tensor merged = target.merged();
    if (!pristine.device().isHost() || !merged.device().isHost()) {
      throw new IllegalArgumentException(
          target.module() + ": expected weights on the host, found " + pristine + " and " + merged);
    }
    if (pristine.type() != merged.type()) {
      throw new IllegalArgumentException(
          target.module()
              + ": expected merged weights of the type of the pristine ones, found "
              + merged
              + " and "
              + pristine);
    }
    if (!pristine.segment().scope().isAlive() || !merged.segment().scope().isAlive()) {
      throw new IllegalStateException(target.module() + ": its memory has been freed");
    }
    if (merged.segment().isReadOnly()) {
      throw new IllegalArgumentException(
          target.module() + ": expected writable memory for the merged weights");
    }
    if (overlap(pristine, merged)) {
      throw new IllegalArgumentException(
          target.module() + ": merged weights overlap the pristine ones");
    }
  }

  /**
   * Returns whether two host tensors surely share an element. Tensors that interleave with one row
   * stride, such as slices of a fused projection, do not.
   */
  static boolean overlap(Tensor a, Tensor b) {
    if (a.rows() == 0
        || b.rows() == 0
        || a.segment().isNative() != b.segment().isNative()
        || !a.segment().heapBase().equals(b.segment().heapBase())) {
      return false;
    }
    long from = a.segment().address();
    long other = b.segment().address();
    if (from + bytes(a) <= other || other + bytes(b) <= from) {
      return false;
    }
    if (a.rowStrideBytes() != b.rowStrideBytes()) {
      return a.rowStride() == a.columns() && b.rowStride() == b.columns();
    }
    long shift = Math.floorMod(other - from, a.rowStrideBytes());
    return shift < a.columns() * a.type().bytes()
        || a.rowStrideBytes() - shift < b.columns() * b.type().bytes();
  }

  /** Returns the bytes from the first element to the last, of at least one row. */
  static long bytes(Tensor tensor) {
    return (tensor.rows() - 1) * tensor.rowStrideBytes() + tensor.columns() * tensor.type().bytes();
  }
}
