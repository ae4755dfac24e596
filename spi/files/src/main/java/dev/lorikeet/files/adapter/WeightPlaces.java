package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * Where the rows of an adapter lie in a region of memory, as byte offsets.
 *
 * @param factors of each row of each factor: {@code 2 * target} for A, one more for B, as {@link
 *     dev.lorikeet.adapter.LoraFactor} has them
 * @param magnitudes of each target's magnitude; {@link #NOWHERE} where it has none
 * @param parts of each row of each part; empty of one that is not kept
 */
@SuppressWarnings("ArrayRecordComponent") // handed on, never compared
public record WeightPlaces(long[][] factors, long[] magnitudes, long[][] parts) {
  /** What stands for the place of something that is not there. */
  public static final long NOWHERE = -1;

  /** Returns the same without some parts. */
  public WeightPlaces without(Set<Integer> dropped) {
    long[][] kept =
        IntStream.range(0, parts.length)
            .filter(part -> !dropped.contains(part))
            .mapToObj(part -> parts[part])
            .toArray(long[][]::new);
    return new WeightPlaces(factors, magnitudes, kept);
  }

  /** Returns places that are still to be filled in. */
  public static WeightPlaces empty(List<TargetSpec> targets, List<PartSpec> parts) {
    long[] magnitudes = new long[targets.size()];
    Arrays.fill(magnitudes, NOWHERE);
    return new WeightPlaces(new long[2 * targets.size()][], magnitudes, new long[parts.size()][]);
  }
}
