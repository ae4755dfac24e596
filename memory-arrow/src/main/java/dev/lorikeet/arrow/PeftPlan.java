package dev.lorikeet.arrow;

import dev.lorikeet.adapter.TargetSpec;
import java.util.List;

/**
 * What the configuration and the header of an adapter say, checked against each other and against
 * the base model.
 *
 * @param placed the target modules and where their factors are, sorted by layer and projection
 * @param targets the target modules alone
 */
record PeftPlan(List<Placed> placed, List<TargetSpec> targets) {
  /**
   * One target module and where its factors begin in the file.
   *
   * @param spec the target module
   * @param aBegin the first byte of A, {@code [rank, in / aBlocks]}
   * @param bBegin the first byte of B, {@code [out, rank / bBlocks]}
   */
  record Placed(TargetSpec spec, long aBegin, long bBegin) {}

  static PeftPlan of(List<Placed> placed) {
    return new PeftPlan(
        List.copyOf(placed), List.copyOf(placed.stream().map(Placed::spec).toList()));
  }
}
