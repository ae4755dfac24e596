package dev.lorikeet.routing;

import java.util.Arrays;
import java.util.Objects;

/**
 * Where a token or layer router writes its decisions: for each token up to top-k pairs of an expert
 * and a weight. All tokens begin without any. A reusable buffer of the host; not thread-safe.
 */
public final class RoutingOutput {
  private int tokens;
  private int topK = 1;
  private int experts;
  private int[] counts = new int[0];
  private int[] chosen = new int[0];
  private float[] weights = new float[0];

  /** Creates a buffer for no tokens. */
  public RoutingOutput() {}

  /** Empties the buffer for a number of tokens and experts. Called by the host. */
  public RoutingOutput reset(int tokens, Experts experts) {
    this.tokens = tokens;
    this.topK = experts.topK();
    this.experts = experts.adapters().size();
    if (counts.length < tokens || chosen.length < tokens * topK) {
      counts = new int[tokens];
      chosen = new int[tokens * topK];
      weights = new float[tokens * topK];
    }
    Arrays.fill(counts, 0, tokens, 0);
    return this;
  }

  /**
   * Lets a token use an expert.
   *
   * @param token the token, in {@code [0, tokens)}
   * @param expert an index into {@link Experts#adapters()}, not chosen for this token before
   * @param weight the factor of the expert's delta; finite
   * @throws IllegalStateException if the token has top-k experts already
   */
  public void choose(int token, int expert, float weight) {
    Objects.checkIndex(token, tokens);
    Objects.checkIndex(expert, experts);
    if (!Float.isFinite(weight)) {
      throw new IllegalArgumentException(
          "weight of expert "
              + expert
              + " for token "
              + token
              + ": expected a finite number, found "
              + weight);
    }
    if (counts[token] == topK) {
      throw new IllegalStateException("token " + token + ": expected at most " + topK + " experts");
    }
    int base = token * topK;
    for (int i = 0; i < counts[token]; i++) {
      if (chosen[base + i] == expert) {
        throw new IllegalArgumentException(
            "token " + token + ": expert " + expert + " was chosen before");
      }
    }
    chosen[base + counts[token]] = expert;
    weights[base + counts[token]++] = weight;
  }

  /** Returns how many tokens the buffer is for. */
  public int tokens() {
    return tokens;
  }

  /** Returns how many experts a token uses. */
  public int count(int token) {
    Objects.checkIndex(token, tokens);
    return counts[token];
  }

  /** Returns the expert in a token's slot. */
  public int expert(int token, int slot) {
    Objects.checkIndex(slot, count(token));
    return chosen[token * topK + slot];
  }

  /** Returns the weight in a token's slot. */
  public float weight(int token, int slot) {
    Objects.checkIndex(slot, count(token));
    return weights[token * topK + slot];
  }
}
