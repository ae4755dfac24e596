package dev.lorikeet.shape;

import java.util.Objects;

/**
 * A linear layer that an adapter changes: a layer of the model and a projection in it.
 *
 * @param layer the decoder layer, from 0
 * @param projection the projection
 */
public record TargetModule(int layer, Projection projection) {
  public TargetModule {
    Objects.requireNonNull(projection, "projection");
    if (layer < 0) {
      throw new IllegalArgumentException("layer: expected >= 0, found " + layer);
    }
  }

  /** Returns a dense number for tables: {@code layer * 7 + projection}. */
  @SuppressWarnings(
      "EnumOrdinal") // The order of the projections is part of the contract, and tables are dense
  // in it.
  public int index() {
    return layer * Projection.all().size() + projection.ordinal();
  }

  /** Returns Hugging Face's name of the module, such as {@code model.layers.3.self_attn.q_proj}. */
  public String moduleName() {
    return "model.layers." + layer + "." + projection.path();
  }

  @Override
  public String toString() {
    return moduleName();
  }
}
