package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** LoRA executors with one fault each in other element types and on their own device. */
final class ExecutorDeviceMutants {
  private ExecutorDeviceMutants() {}

  static List<Mutant> all() {
    return List.of(
        executor("BF16 activations read as F16", rules("X23"), rules(), ReadsBf16AsF16::new),
        executor(
            "outputs rounded to their type again and again",
            rules("X23"),
            rules(),
            RoundsOften::new),
        executor(
            "rows on its device taken for dense ones", rules("X23"), rules(), TakesForDense::new),
        executor("outputs on its device left in a copy", rules("X23"), rules(), LeavesInCopy::new),
        executor(
            "merging on its device refused after writing",
            rules("X20"),
            rules(),
            RefusesLate::new));
  }

  private static class ReadsBf16AsF16 extends DeviceExecutor {
    ReadsBf16AsF16(Workers workers) {
      super(workers);
    }

    @Override
    Tensor widened(Tensor t) {
      ElementType type = t.type() == ElementType.BF16 ? ElementType.F16 : t.type();
      return super.widened(
          new Tensor(t.segment(), type, t.rows(), t.columns(), t.rowStride(), t.device()));
    }
  }

  private static class RoundsOften extends DeviceExecutor {
    RoundsOften(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      requireOpen();
      check(targets, batch, x, y);
      for (int s = 0; s < batch.segments(); s++) {
        for (int m = 0; m < y.size(); m++) {
          var weights = batch.adapter(s).weights(targets.targets().get(m));
          for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
            if (weights.isPresent()) {
              entry(weights.get(), batch.weight(e), batch.token(e), x, y.get(m));
            }
          }
        }
      }
    }
  }

  private static class TakesForDense extends DeviceExecutor {
    TakesForDense(Workers workers) {
      super(workers);
    }

    @Override
    Tensor widened(Tensor t) {
      return t.device().isHost()
          ? super.widened(t)
          : super.widened(
              new Tensor(t.segment(), t.type(), t.rows(), t.columns(), t.columns(), t.device()));
    }
  }

  private static class LeavesInCopy extends DeviceExecutor {
    LeavesInCopy(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      List<Tensor> copies =
          y.stream().map(one -> one.device().equals(DEVICE) ? widened(one) : one).toList();
      super.addDelta(targets, batch, x, copies);
    }
  }

  private static class RefusesLate extends DeviceExecutor {
    RefusesLate(Workers workers) {
      super(workers);
    }

    @Override
    public boolean merges(ElementType type, dev.lorikeet.tensor.Device device) {
      return false;
    }

    @Override
    public void switchMerged(MergePlan plan) {
      if (plan.targets().getFirst().merged().device().equals(DEVICE)) {
        set(plan.targets().getFirst().merged(), 0, 0, 0);
      }
      super.switchMerged(plan);
    }
  }
}
