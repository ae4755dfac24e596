package dev.lorikeet.training.task;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * What an adapter looks like that begins anew: the settings of a PEFT {@code LoraConfig} by their
 * names.
 *
 * @param rank the rank of each target module, unless {@code rankPattern} names it
 * @param alpha the numerator of the scaling, unless {@code alphaPattern} names the module
 * @param rsLora whether the scaling is {@code alpha / sqrt(rank)} instead of {@code alpha / rank}
 * @param targets which projections of every layer
 * @param rankPattern other ranks by projection
 * @param alphaPattern other alphas by projection
 * @param blocks the diagonal blocks of A of o and down and of B of all others, for tensor parallel
 *     serving without messages; 1 for plain LoRA. Divides the rank and those widths
 * @param dora whether magnitudes of the output features learn beside (DoRA, arXiv 2402.09353); not
 *     with blocks
 */
public record LoraMethod(
    int rank,
    double alpha,
    boolean rsLora,
    Set<Projection> targets,
    Map<Projection, Integer> rankPattern,
    Map<Projection, Double> alphaPattern,
    int blocks,
    boolean dora) {
  /** Rank 16 and alpha 32 on all projections. */
  public static final LoraMethod DEFAULT =
      new LoraMethod(16, 32, false, Set.copyOf(Projection.ofLayer()), Map.of(), Map.of(), 1, false);

  public LoraMethod {
    Ranges.atLeast("rank", rank, 1);
    Ranges.above("alpha", alpha, 0);
    Ranges.atLeast("blocks", blocks, 1);
    if (dora && blocks > 1) {
      throw new IllegalArgumentException("blocks: expected 1 with DoRA, found " + blocks);
    }
    if (targets.isEmpty()) {
      throw new IllegalArgumentException("target modules: expected at least one, found none");
    }
    // In the order of the projections, so that equal methods print alike in every process.
    targets = Collections.unmodifiableSet(EnumSet.copyOf(targets));
    rankPattern = ordered(rankPattern);
    alphaPattern = ordered(alphaPattern);
    if (!Projection.ofLayer().containsAll(targets)) {
      throw new IllegalArgumentException(
          "target modules: expected linear layers of a block, found " + targets);
    }
    rankPattern.values().forEach(r -> Ranges.atLeast("rank pattern", r, 1));
    alphaPattern.values().forEach(a -> Ranges.above("alpha pattern", a, 0));
  }

  private static <V> Map<Projection, V> ordered(Map<Projection, V> pattern) {
    EnumMap<Projection, V> copy = new EnumMap<>(Projection.class);
    copy.putAll(pattern);
    return Collections.unmodifiableMap(copy);
  }

  /** Returns the rank of a projection. */
  public int rank(Projection projection) {
    return rankPattern.getOrDefault(projection, rank);
  }

  /** Returns the factor of the product of a projection's factors. */
  public float scaling(Projection projection) {
    double numerator = alphaPattern.getOrDefault(projection, alpha);
    int r = rank(projection);
    return (float) (numerator / (rsLora ? Math.sqrt(r) : r));
  }

  /**
   * Returns the target modules of an adapter over a model, in the order of the layers.
   *
   * @throws IllegalArgumentException if the blocks do not divide a rank or a width
   */
  public List<TargetSpec> targets(ModelShape shape) {
    List<TargetSpec> found = new ArrayList<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : Projection.ofLayer()) {
        if (!targets.contains(projection)) {
          continue;
        }
        boolean splitsA = projection == Projection.O || projection == Projection.DOWN;
        int in = shape.inFeatures(projection);
        int out = shape.outFeatures(projection);
        int r = rank(projection);
        int split = splitsA ? in : out;
        if (r % blocks != 0 || split % blocks != 0) {
          throw new IllegalArgumentException(
              "blocks: expected a number that divides the rank "
                  + r
                  + " and the width "
                  + split
                  + " of "
                  + projection.moduleName()
                  + ", found "
                  + blocks);
        }
        found.add(
            TargetSpec.builder(TargetModule.of(layer, projection))
                .rank(r)
                .inFeatures(in)
                .outFeatures(out)
                .scaling(scaling(projection))
                .aBlocks(splitsA ? blocks : 1)
                .bBlocks(splitsA ? 1 : blocks)
                .magnitude(dora)
                .build());
      }
    }
    return found;
  }
}
