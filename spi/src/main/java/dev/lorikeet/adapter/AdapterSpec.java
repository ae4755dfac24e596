package dev.lorikeet.adapter;

import java.util.List;

/**
 * The description of a registered adapter; costs metadata alone.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param id the name under which requests ask for it
 * @param generation a number that no other registration of this process has: it changes when a name
 *     is registered anew, so that device copies, merged states and prefix caches never take new
 *     weights for old
 * @param targets the target modules, sorted by layer and projection, at least one
 */
public record AdapterSpec(String id, long generation, List<TargetSpec> targets) {
  public AdapterSpec {
    targets = List.copyOf(targets);
    if (targets.isEmpty()) {
      throw new IllegalArgumentException(
          "adapter '" + id + "': expected at least one target module");
    }
  }

  /** Returns the description of an adapter. */
  public static AdapterSpec of(String id, long generation, List<TargetSpec> targets) {
    return new AdapterSpec(id, generation, targets);
  }

  /** Returns the largest rank among the target modules. */
  public int maxRank() {
    return targets.stream().mapToInt(TargetSpec::rank).max().orElseThrow();
  }

  /** Returns the number of parameters. */
  public long parameters() {
    return targets.stream().mapToLong(TargetSpec::parameters).sum();
  }

  /** Returns the number of bytes of weights. */
  public long bytes() {
    return targets.stream().mapToLong(TargetSpec::bytes).sum();
  }
}
