package dev.lorikeet.executor;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/**
 * A merged state to switch to: for each target module, {@code merged = pristine + sum of weight *
 * scaling * B A} over the mixture (LoRA-Switch, arXiv 2405.17741). An empty mixture is the base
 * model itself. Computed from the pristine weights, never from the merged state before, so that
 * switching does not drift.
 *
 * @param targets the weights to rewrite, each module once
 * @param mixture the adapters and their weights; the leases must stay open until the switch has
 *     ended
 */
public record MergePlan(List<Target> targets, List<Share> mixture) {
  public MergePlan {
    targets = List.copyOf(targets);
    mixture = List.copyOf(mixture);
    if (targets.stream().map(Target::module).distinct().count() != targets.size()) {
      throw new IllegalArgumentException("targets: expected each module once");
    }
  }

  /**
   * The weights of one target module.
   *
   * @param module the module
   * @param pristine the weights as loaded, {@code [out, in]}; only read
   * @param merged where the merged weights go, the same shape; every element is written
   */
  public record Target(TargetModule module, Tensor pristine, Tensor merged) {
    public Target {
      if (pristine.rows() != merged.rows() || pristine.columns() != merged.columns()) {
        throw new IllegalArgumentException(
            module
                + ": expected merged weights of the shape of the pristine ones, found "
                + merged
                + " and "
                + pristine);
      }
    }
  }

  /**
   * One adapter's part in the mixture.
   *
   * @param adapter the adapter
   * @param weight the factor of its delta; finite
   */
  public record Share(AdapterLease adapter, float weight) {
    public Share {
      if (!Float.isFinite(weight)) {
        throw new IllegalArgumentException("weight: expected a finite number, found " + weight);
      }
    }
  }
}
