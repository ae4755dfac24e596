package dev.lorikeet.executor;

import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.ArrayList;
import java.util.List;

/**
 * One target module, or several of one layer that share their input (Q, K and V; GATE and UP), so
 * that an executor can read the input once for all.
 *
 * @param layer the decoder layer
 * @param projections the projections, distinct, at least one; outputs are given in this order
 * @param targets the target modules in the same order; derived
 */
public record TargetGroup(int layer, List<Projection> projections, List<TargetModule> targets) {
  public TargetGroup {
    projections = List.copyOf(projections);
    targets = List.copyOf(targets);
    if (projections.isEmpty() || projections.stream().distinct().count() != projections.size()) {
      throw new IllegalArgumentException(
          "projections: expected at least one, all distinct, found " + projections);
    }
    if (!targets.equals(targetsOf(layer, projections))) {
      throw new IllegalArgumentException(
          "targets: expected " + targetsOf(layer, projections) + ", found " + targets);
    }
  }

  /** Returns the group of these projections of one layer. */
  public static TargetGroup of(int layer, Projection... projections) {
    List<Projection> list = List.of(projections);
    return new TargetGroup(layer, list, targetsOf(layer, list));
  }

  private static List<TargetModule> targetsOf(int layer, List<Projection> projections) {
    List<TargetModule> targets = new ArrayList<>();
    for (Projection projection : projections) {
      targets.add(TargetModule.of(layer, projection));
    }
    return targets;
  }
}
