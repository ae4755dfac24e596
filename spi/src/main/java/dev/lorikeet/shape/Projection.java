package dev.lorikeet.shape;

import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A linear map that an adapter may change: one of the seven of a decoder block, the router of its
 * experts, the embeddings or the output layer. {@code moduleName} is the name that Hugging Face's
 * Llama-like models and PEFT give it.
 */
public enum Projection {
  /** Attention query. */
  Q("self_attn.", "q_proj"),
  /** Attention key. */
  K("self_attn.", "k_proj"),
  /** Attention value. */
  V("self_attn.", "v_proj"),
  /** Attention output. */
  O("self_attn.", "o_proj"),
  /** Gate of the gated MLP, or of one of its experts. */
  GATE("mlp.", "gate_proj"),
  /** Up-projection of the gated MLP, or of one of its experts. */
  UP("mlp.", "up_proj"),
  /** Down-projection of the gated MLP, or of one of its experts. */
  DOWN("mlp.", "down_proj"),
  /** What chooses among the experts of a layer: from the residual stream to their logits. */
  ROUTER("mlp.", "gate"),
  /** The embeddings: from a token's one-hot vector to the residual stream. Not of a block. */
  EMBED("model.", "embed_tokens"),
  /** The output layer: from the residual stream to the logits. Not of a block. */
  LM_HEAD("", "lm_head");

  private static final List<Projection> OF_LAYER = List.copyOf(EnumSet.range(Q, DOWN));
  private static final List<Projection> OF_EXPERT = List.copyOf(EnumSet.range(GATE, DOWN));

  private final String block;
  private final String moduleName;

  Projection(String block, String moduleName) {
    this.block = block;
    this.moduleName = moduleName;
  }

  /** Returns the seven linear layers of a decoder block in the order in which it uses them. */
  public static List<Projection> ofLayer() {
    return OF_LAYER;
  }

  /** Returns the three linear layers of an expert of a decoder block in the order of their use. */
  public static List<Projection> ofExpert() {
    return OF_EXPERT;
  }

  /** Returns the linear layer of a decoder block that has this {@link #moduleName()}, if any. */
  public static Optional<Projection> ofModuleName(String moduleName) {
    return OF_LAYER.stream().filter(p -> p.moduleName.equals(moduleName)).findFirst();
  }

  /** Returns whether this belongs to a decoder block: one of {@link #ofLayer()}, or the router. */
  public boolean isOfLayer() {
    return compareTo(ROUTER) <= 0;
  }

  /** Returns the last part of the module's name, such as {@code q_proj} or {@code lm_head}. */
  public String moduleName() {
    return moduleName;
  }

  /**
   * Returns the path below {@code model.layers.N}, such as {@code self_attn.q_proj}; of what is not
   * of a block the whole name, {@code model.embed_tokens} or {@code lm_head}.
   */
  public String path() {
    return block + moduleName;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
