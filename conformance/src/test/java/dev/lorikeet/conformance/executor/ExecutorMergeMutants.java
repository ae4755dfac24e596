package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;

import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** LoRA executors with one fault each in merging: rules X17 to X20. */
final class ExecutorMergeMutants {
  private ExecutorMergeMutants() {}

  static List<Mutant> all() {
    return List.of(
        executor("rounded after each adapter", rules("X17"), rules("X18", "X19"), RoundsEach::new),
        executor(
            "modules without a delta left out", rules("X17"), rules("X18", "X19"), LeavesOut::new),
        executor(
            "the last state subtracted, not the pristine one taken",
            rules("X18"),
            rules("X17", "X19"),
            Drifts::new),
        executor(
            "pristine weights overwritten", rules("X18"), rules("X17", "X19"), WritesPristine::new),
        executor("merging refused after writing", rules("X20"), rules(), RefusesLate::new));
  }

  private static class RoundsEach extends ReferenceExecutor {
    RoundsEach(Workers workers) {
      super(workers);
    }

    @Override
    void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
      super.merge(target, List.of());
      for (MergePlan.Share share : mixture) {
        super.merge(
            new MergePlan.Target(target.module(), target.merged(), target.merged()),
            List.of(share));
      }
    }
  }

  private static class LeavesOut extends ReferenceExecutor {
    LeavesOut(Workers workers) {
      super(workers);
    }

    @Override
    void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
      if (mixture.isEmpty()
          || mixture.stream().anyMatch(s -> weights(s, target.module()).isPresent())) {
        super.merge(target, mixture);
      }
    }
  }

  private static class Drifts extends ReferenceExecutor {
    private final Map<TargetModule, List<MergePlan.Share>> last = new HashMap<>();

    Drifts(Workers workers) {
      super(workers);
    }

    @Override
    synchronized void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
      Optional<List<MergePlan.Share>> before =
          Optional.ofNullable(last.put(target.module(), mixture));
      if (before.isEmpty()) {
        super.merge(target, mixture);
        return;
      }
      MergePlan.Target inPlace =
          new MergePlan.Target(target.module(), target.merged(), target.merged());
      List<MergePlan.Share> change = new ArrayList<>(mixture);
      before.get().forEach(s -> change.add(new MergePlan.Share(s.adapter(), -s.weight())));
      super.merge(inPlace, change);
    }
  }

  private static class WritesPristine extends ReferenceExecutor {
    WritesPristine(Workers workers) {
      super(workers);
    }

    @Override
    void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
      super.merge(target, mixture);
      if (!mixture.isEmpty()) {
        set(target.pristine(), 0, 0, 1 + element(target.pristine(), 0, 0));
      }
    }
  }

  private static class RefusesLate extends ReferenceExecutor {
    RefusesLate(Workers workers) {
      super(workers);
    }

    @Override
    public boolean merges(ElementType type, Device device) {
      return false;
    }

    @Override
    public void switchMerged(MergePlan plan) {
      set(plan.targets().getFirst().merged(), 0, 0, 0);
      super.switchMerged(plan);
    }
  }
}
