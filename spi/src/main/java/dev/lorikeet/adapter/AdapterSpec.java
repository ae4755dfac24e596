package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
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
 * @param targets the target modules with factors, in the order of {@link TargetModule}
 * @param parts what it changes beside, in the order of the modules and kinds; with the targets at
 *     least one
 */
public record AdapterSpec(
    String id, long generation, List<TargetSpec> targets, List<PartSpec> parts) {
  public AdapterSpec {
    targets = List.copyOf(targets);
    parts = List.copyOf(parts);
    if (targets.isEmpty() && parts.isEmpty()) {
      throw new IllegalArgumentException(
          "adapter '" + id + "': expected at least one target module");
    }
  }

  /** Returns the description of an adapter that has nothing beside its factors. */
  public static AdapterSpec of(String id, long generation, List<TargetSpec> targets) {
    return new AdapterSpec(id, generation, targets, List.of());
  }

  /** Returns the description of an adapter. */
  public static AdapterSpec of(
      String id, long generation, List<TargetSpec> targets, List<PartSpec> parts) {
    return new AdapterSpec(id, generation, targets, parts);
  }

  /**
   * Returns whether this is LoRA on the seven linear layers of decoder blocks and nothing else: no
   * parts, no magnitudes, no experts, embeddings or output layer. Allocates nothing.
   */
  public boolean isPlain() {
    if (!parts.isEmpty()) {
      return false;
    }
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      if (spec.magnitude() || !spec.target().isPlain()) {
        return false;
      }
    }
    return true;
  }

  /**
   * Returns whether this multiplies outputs of modules (magnitudes, {@link PartSpec.Kind#SCALE}),
   * and so can't be weighed or mixed with others. Allocates nothing.
   */
  public boolean scalesOutputs() {
    for (int p = 0; p < parts.size(); p++) {
      if (parts.get(p).kind() == PartSpec.Kind.SCALE) {
        return true;
      }
    }
    for (int t = 0; t < targets.size(); t++) {
      if (targets.get(t).magnitude()) {
        return true;
      }
    }
    return false;
  }

  /** Returns the largest rank among the target modules, 0 if there are none. */
  public int maxRank() {
    return targets.stream().mapToInt(TargetSpec::rank).max().orElse(0);
  }

  /** Returns the number of parameters. */
  public long parameters() {
    return targets.stream().mapToLong(TargetSpec::parameters).sum()
        + parts.stream().mapToLong(part -> (long) part.rows() * part.columns()).sum();
  }

  /** Returns the number of bytes of weights. */
  public long bytes() {
    return targets.stream().mapToLong(TargetSpec::bytes).sum()
        + parts.stream().mapToLong(PartSpec::bytes).sum();
  }
}
