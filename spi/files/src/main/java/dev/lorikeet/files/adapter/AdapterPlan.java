package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.tensor.ElementType;
import java.util.List;
import java.util.Optional;

/**
 * What the files of an adapter say, checked against each other and against the base model.
 *
 * @param placed the target modules and where their factors are, in the order of the modules
 * @param targets the target modules alone
 * @param placedParts what the adapter has beside its factors, and where
 * @param parts the same without where
 */
public record AdapterPlan(
    List<Placed> placed,
    List<TargetSpec> targets,
    List<PlacedPart> placedParts,
    List<PartSpec> parts) {
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
  public record Placed(TargetSpec spec, Stored a, Stored b, Optional<Stored> magnitude) {}

  /**
   * A part and where it is.
   *
   * @param spec the part
   * @param stored where its rows are
   */
  public record PlacedPart(PartSpec spec, Stored stored) {}

  /**
   * Where elements are in the file. Lines are {@code stride} elements apart; a line's elements are
   * every {@code step}-th, from {@code first} on.
   *
   * @param begin the first byte of the first line
   * @param type their type there: that of what they become, or a narrower one where that is F32
   * @param stride elements from a line to the next; 0 where lines follow one another
   * @param first which element of a line is the first
   * @param step elements from one to the next
   * @param multipliers what each line is multiplied by, if it is
   */
  public record Stored(
      long begin,
      ElementType type,
      long stride,
      int first,
      int step,
      Optional<Stored> multipliers) {
    /** Returns where elements are that follow one another. */
    public static Stored dense(long begin, ElementType type) {
      return new Stored(begin, type, 0, 0, 1, Optional.empty());
    }

    /** Returns the place so many elements further on. */
    public Stored behind(long elements) {
      return new Stored(begin + elements * type.bytes(), type, stride, first, step, multipliers);
    }

    /** Returns the same with lines so far apart. */
    public Stored withStride(long elements) {
      return new Stored(begin, type, elements, first, step, multipliers);
    }

    /** Returns every {@code ofStep}-th element of lines that hold so many times as many. */
    public Stored every(int ofStep, int from) {
      return new Stored(begin, type, stride, from, ofStep, multipliers);
    }

    /** Returns the same with lines that are multiplied. */
    public Stored times(Stored ofLines) {
      return new Stored(begin, type, stride, first, step, Optional.of(ofLines));
    }
  }

  /** Returns the plan of these target modules. */
  public static AdapterPlan of(List<Placed> placed) {
    return of(placed, List.of());
  }

  /** Returns the plan of these target modules and parts. */
  public static AdapterPlan of(List<Placed> placed, List<PlacedPart> parts) {
    return new AdapterPlan(
        List.copyOf(placed),
        List.copyOf(placed.stream().map(Placed::spec).toList()),
        List.copyOf(parts),
        List.copyOf(parts.stream().map(PlacedPart::spec).toList()));
  }
}
