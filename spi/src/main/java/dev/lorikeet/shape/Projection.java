package dev.lorikeet.shape;

import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * A linear layer of a decoder block that an adapter may change. {@code moduleName} is the name that
 * Hugging Face's Llama-like models and PEFT give it.
 */
public enum Projection {
  /** Attention query. */
  Q("self_attn", "q_proj"),
  /** Attention key. */
  K("self_attn", "k_proj"),
  /** Attention value. */
  V("self_attn", "v_proj"),
  /** Attention output. */
  O("self_attn", "o_proj"),
  /** Gate of the gated MLP. */
  GATE("mlp", "gate_proj"),
  /** Up-projection of the gated MLP. */
  UP("mlp", "up_proj"),
  /** Down-projection of the gated MLP. */
  DOWN("mlp", "down_proj");

  private static final List<Projection> ALL = List.of(values());

  private final String block;
  private final String moduleName;

  Projection(String block, String moduleName) {
    this.block = block;
    this.moduleName = moduleName;
  }

  /** Returns all projections in the order in which a decoder block uses them. */
  public static List<Projection> all() {
    return ALL;
  }

  /** Returns the projection with this {@link #moduleName()}, if there is one. */
  public static Optional<Projection> ofModuleName(String moduleName) {
    return ALL.stream().filter(p -> p.moduleName.equals(moduleName)).findFirst();
  }

  /** Returns the name of the module within its block, such as {@code q_proj}. */
  public String moduleName() {
    return moduleName;
  }

  /** Returns the path below {@code model.layers.N}, such as {@code self_attn.q_proj}. */
  public String path() {
    return block + "." + moduleName;
  }

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
