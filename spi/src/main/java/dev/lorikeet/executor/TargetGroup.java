package dev.lorikeet.executor;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.Arrays;
import java.util.List;

/**
 * One target module, or several of one layer or expert that share their input (Q, K and V; GATE and
 * UP), so that an executor can read the input once for all.
 *
 * @param targets the target modules, distinct, at least one, all of one layer and expert; outputs
 *     are given in this order
 */
public record TargetGroup(List<TargetModule> targets) {
  public TargetGroup {
    targets = List.copyOf(targets);
    if (targets.isEmpty() || targets.stream().distinct().count() != targets.size()) {
      throw new IllegalArgumentException(
          "targets: expected at least one, all distinct, found " + targets);
    }
    TargetModule first = targets.getFirst();
    for (TargetModule target : targets) {
      if (target.layer() != first.layer() || target.expert() != first.expert()) {
        throw new IllegalArgumentException(
            "targets: expected those of one layer and expert, found " + targets);
      }
    }
  }

  /** Returns the group of these projections of one layer. */
  public static TargetGroup of(int layer, Projection... projections) {
    return new TargetGroup(Arrays.stream(projections).map(p -> TargetModule.of(layer, p)).toList());
  }

  /** Returns the group of these projections of one expert of a layer. */
  public static TargetGroup ofExpert(int layer, int expert, Projection... projections) {
    return new TargetGroup(
        Arrays.stream(projections).map(p -> TargetModule.ofExpert(layer, p, expert)).toList());
  }

  /** Returns the group of the output layer. */
  public static TargetGroup output() {
    return new TargetGroup(List.of(TargetModule.output()));
  }

  /** Returns the layer, {@link TargetModule#NONE} of the output layer. */
  public int layer() {
    return targets.getFirst().layer();
  }

  /** Returns the projections, in the order of the targets. */
  public List<Projection> projections() {
    return targets.stream().map(TargetModule::projection).toList();
  }
}
