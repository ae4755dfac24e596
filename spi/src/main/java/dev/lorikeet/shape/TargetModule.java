package dev.lorikeet.shape;

import java.util.Comparator;
import java.util.Objects;

/**
 * A linear map of the model that an adapter changes: a projection of a decoder layer, one of an
 * expert of such a layer, the embeddings or the output layer. Made by the factories; who keeps
 * tables by module numbers the modules for itself.
 *
 * <p>The natural order is by layer, the modules of no layer first, then projection, then expert.
 *
 * @param layer the decoder layer, from 0; {@link #NONE} of the embeddings and the output layer
 * @param projection the projection
 * @param expert the expert, from 0; {@link #NONE} of all that is no expert's
 */
public record TargetModule(int layer, Projection projection, int expert)
    implements Comparable<TargetModule> {
  /** What stands for the layer or the expert of a module that has none. */
  public static final int NONE = -1;

  private static final Comparator<TargetModule> ORDER =
      Comparator.comparingInt(TargetModule::layer)
          .thenComparing(TargetModule::projection)
          .thenComparingInt(TargetModule::expert);
  private static final TargetModule EMBEDDING = new TargetModule(NONE, Projection.EMBED, NONE);
  private static final TargetModule OUTPUT = new TargetModule(NONE, Projection.LM_HEAD, NONE);

  public TargetModule {
    Objects.requireNonNull(projection, "projection");
    if (projection.isOfLayer() ? layer < 0 : layer != NONE) {
      throw new IllegalArgumentException(
          "layer: expected "
              + (projection.isOfLayer() ? ">= 0" : "none for " + projection)
              + ", found "
              + layer);
    }
    if (expert < NONE || expert != NONE && !Projection.ofExpert().contains(projection)) {
      throw new IllegalArgumentException(
          "expert: expected >= 0 and gate, up or down, found " + expert + " and " + projection);
    }
  }

  /**
   * Returns a projection of a decoder layer.
   *
   * @param layer the layer, from 0
   * @param projection one of {@link Projection#ofLayer()}
   */
  public static TargetModule of(int layer, Projection projection) {
    return new TargetModule(layer, projection, NONE);
  }

  /**
   * Returns a projection of an expert.
   *
   * @param layer the layer, from 0
   * @param projection one of {@link Projection#ofExpert()}
   * @param expert the expert, from 0
   */
  public static TargetModule ofExpert(int layer, Projection projection, int expert) {
    if (expert < 0) {
      throw new IllegalArgumentException("expert: expected >= 0, found " + expert);
    }
    return new TargetModule(layer, projection, expert);
  }

  /** Returns the embeddings. */
  public static TargetModule embedding() {
    return EMBEDDING;
  }

  /** Returns the output layer. */
  public static TargetModule output() {
    return OUTPUT;
  }

  /** Returns whether this belongs to an expert. */
  public boolean isExpert() {
    return expert != NONE;
  }

  /** Returns whether this is one of the seven linear layers of a decoder block. */
  public boolean isPlain() {
    return !isExpert() && projection.compareTo(Projection.DOWN) <= 0;
  }

  /**
   * Returns Hugging Face's name of the module, such as {@code model.layers.3.self_attn.q_proj},
   * {@code model.layers.3.mlp.experts.5.gate_proj}, {@code model.embed_tokens} or {@code lm_head}.
   */
  public String moduleName() {
    if (layer == NONE) {
      return projection.path();
    }
    return "model.layers."
        + layer
        + "."
        + (isExpert()
            ? "mlp.experts." + expert + "." + projection.moduleName()
            : projection.path());
  }

  @Override
  public int compareTo(TargetModule other) {
    return ORDER.compare(this, other);
  }

  @Override
  public String toString() {
    return moduleName();
  }
}
