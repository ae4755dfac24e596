package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.tensor.ElementType;
import java.util.List;

/** In which element type a store keeps adapters: as their files have it, or narrower. */
public enum KeptType {
  /** As in the file. */
  STORED,
  /** F32 becomes BF16. */
  BF16,
  /** F32 becomes F16. */
  F16;

  /**
   * Returns the type in which weights are kept. Only F32 is narrowed: from one 16-bit type to the
   * other, range or precision would be lost and no memory won.
   */
  ElementType of(ElementType stored) {
    if (stored != ElementType.F32) {
      return stored;
    }
    return switch (this) {
      case STORED -> stored;
      case BF16 -> ElementType.BF16;
      case F16 -> ElementType.F16;
    };
  }

  /** Returns the target modules of a file as a store keeps and describes them. */
  List<TargetSpec> of(List<TargetSpec> stored) {
    return this == STORED ? stored : stored.stream().map(this::of).toList();
  }

  private TargetSpec of(TargetSpec stored) {
    return stored.toBuilder().type(of(stored.type())).build();
  }
}
