package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.TargetSpec;
import java.util.List;
import java.util.OptionalLong;

/**
 * What the files of an adapter say, checked against each other and against the base model.
 *
 * @param placed the target modules and where their factors are, sorted by layer and projection
 * @param targets the target modules alone
 */
public record AdapterPlan(List<Placed> placed, List<TargetSpec> targets) {
  /** The largest rank that is read. */
  public static final int MAX_RANK = 4096;

  /**
   * One target module and where its factors begin in the file.
   *
   * @param spec the target module
   * @param aBegin the first byte of A, {@code [rank, in / aBlocks]}
   * @param bBegin the first byte of B, {@code [out, rank / bBlocks]}
   * @param magnitudeBegin the first byte of the magnitude, if there is one
   */
  public record Placed(TargetSpec spec, long aBegin, long bBegin, OptionalLong magnitudeBegin) {}

  /** Returns the plan of these target modules. */
  public static AdapterPlan of(List<Placed> placed) {
    return new AdapterPlan(
        List.copyOf(placed), List.copyOf(placed.stream().map(Placed::spec).toList()));
  }
}
