package dev.lorikeet.files.model;

/**
 * What a family calls the keys that all have, and what it takes where one is absent.
 *
 * @param keys names of keys
 * @param norm how rows are normalized
 * @param epsilon of norms, where absent
 * @param tied whether the embedding is the output matrix, where absent
 * @param activation of the MLP, where absent
 * @param rotary whether queries and keys are rotated
 */
public record Conventions(
    Keys keys,
    Norm.Kind norm,
    double epsilon,
    boolean tied,
    Mlp.Activation activation,
    boolean rotary) {
  /** Llama's. */
  public static final Conventions LLAMA =
      new Conventions(Keys.LLAMA, Norm.Kind.RMS, 1e-6, false, Mlp.Activation.SILU, true);

  /** Returns the same but for the epsilon of norms. */
  public Conventions withEpsilon(double value) {
    return new Conventions(keys, norm, value, tied, activation, rotary);
  }

  /** Returns the same where the embedding is the output matrix unless the file denies it. */
  public Conventions withTied() {
    return new Conventions(keys, norm, epsilon, true, activation, rotary);
  }

  /** Returns the same for a family that tells by itself how layers rotate. */
  public Conventions withoutRotary() {
    return new Conventions(keys, norm, epsilon, tied, activation, false);
  }

  /** Returns the same where the MLP has another activation under another key. */
  public Conventions withActivation(String key, Mlp.Activation whenAbsent) {
    return new Conventions(keys.withActivation(key), norm, epsilon, tied, whenAbsent, rotary);
  }

  /**
   * Names of keys.
   *
   * @param hidden the width of the residual stream
   * @param intermediate the width of the MLP; absent it is four times that of the stream, where the
   *     family allows it
   * @param layers the number of layers
   * @param heads the number of query heads
   * @param positions the longest sequence
   * @param epsilon of norms
   * @param activation of the MLP
   * @param intermediateMayBeAbsent whether the family allows it
   */
  public record Keys(
      String hidden,
      String intermediate,
      String layers,
      String heads,
      String positions,
      String epsilon,
      String activation,
      boolean intermediateMayBeAbsent) {
    /** Llama's. */
    public static final Keys LLAMA =
        new Keys(
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
            "rms_norm_eps",
            "hidden_act",
            false);

    Keys withActivation(String key) {
      return new Keys(
          hidden, intermediate, layers, heads, positions, epsilon, key, intermediateMayBeAbsent);
    }

    /** Returns the same but for the epsilon. */
    public Keys withEpsilon(String key) {
      return new Keys(
          hidden, intermediate, layers, heads, positions, key, activation, intermediateMayBeAbsent);
    }
  }
}
