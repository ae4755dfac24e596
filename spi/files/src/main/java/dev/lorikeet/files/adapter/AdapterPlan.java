package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.tensor.ElementType;
import java.util.List;
import java.util.Optional;

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
   * @param a A, {@code [rank, in / aBlocks]}
   * @param b B, {@code [out, rank / bBlocks]}
   * @param magnitude the magnitude, if there is one
   */
  public record Placed(TargetSpec spec, Stored a, Stored b, Optional<Stored> magnitude) {
    /** Returns whether something is stored in a narrower type than the module has. */
    boolean isWidened() {
      return a.type() != spec.type()
          || b.type() != spec.type()
          || magnitude.stream().anyMatch(stored -> stored.type() != spec.type());
    }
  }

  /**
   * Where elements are in the file.
   *
   * @param begin the first byte
   * @param type their type there: that of the module, or a narrower one where it is F32
   */
  public record Stored(long begin, ElementType type) {}

  /** Returns the plan of these target modules. */
  public static AdapterPlan of(List<Placed> placed) {
    return new AdapterPlan(
        List.copyOf(placed), List.copyOf(placed.stream().map(Placed::spec).toList()));
  }
}
