package dev.lorikeet.files.model;

/**
 * The MLP of a layer.
 *
 * @param activation what follows the gate, or the up-projection where there is no gate
 * @param gated whether the activated gate is multiplied with the up-projection
 */
public record Mlp(Activation activation, boolean gated) {
  /** A gated MLP with SiLU, as Llama's. */
  public static final Mlp SWI_GLU = new Mlp(Activation.SILU, true);

  /** What is computed of every element. */
  public enum Activation {
    /** {@code x / (1 + exp(-x))}. */
    SILU,
    /** {@code x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))}. */
    GELU_TANH,
    /** {@code x / 2 * (1 + erf(x / sqrt(2)))}. */
    GELU;

    /** Returns whether this is one of the forms of GELU. */
    public boolean isGelu() {
      return this != SILU;
    }
  }
}
