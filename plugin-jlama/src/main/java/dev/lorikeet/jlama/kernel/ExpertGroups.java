package dev.lorikeet.jlama.kernel;

import java.util.Arrays;

/**
 * Which experts of a mixture the tokens of a batch go to, and with what weights: the tokens of each
 * expert one after the other. Reused from layer to layer and step to step; filling it allocates
 * nothing.
 *
 * <p>Tokens are routed in one phase of a {@link WorkerTeam}, grouped by a single worker in the
 * next, and read by all from then on:
 *
 * <pre>{@code
 * case 0 -> groups.choose(logits, tokens, shard);
 * case 1 -> { if (shard.index() == 0) groups.group(tokens); }
 * case 2 -> matMul.pack(panel, x, groups, expert, shard);    // of an expert that has entries
 * case 3 -> matMul.multiply(weights, panel, y, shard);       // and so on, for every expert
 * case 4 -> elementwise.addExperts(groups, outputs, y, tokens, shard);
 * }</pre>
 *
 * <p>An entry is one token of one expert. Experts' entries follow one another in ascending order of
 * the experts, those of one expert in the order of the tokens.
 */
public final class ExpertGroups {
  /*
   * A slot is one of the experts of a token: slots of a token are adjacent, in ascending order of the experts. A
   * counting sort by expert makes entries of slots and is stable, so it depends on nothing but what was chosen. A token
   * is summed up slot by slot, in an order that no other token has a part in.
   *
   * Cost: a pass over the logits of a token, with an insertion for each that is among the largest so far, and 2 passes
   * over the slots.
   */

  private final int maxTokens;
  private final int experts;
  private final int perToken;
  private final boolean renormalized;
  private final int[] expertOf;
  private final float[] weights;
  private final int[] entryOf;
  private final int[] slotOf;
  private final int[] ends;

  /**
   * Allocates room.
   *
   * @param maxTokens the largest number of tokens in a batch
   * @param experts how many experts there are
   * @param perToken how many of them a token goes to
   * @param renormalized whether a token's weights sum to 1, the softmax over the logits of its own
   *     experts; otherwise they are those of the softmax over all
   */
  public ExpertGroups(int maxTokens, int experts, int perToken, boolean renormalized) {
    if (maxTokens < 1 || perToken < 1 || perToken > experts) {
      throw new IllegalArgumentException(
          "expert groups: expected maxTokens of at least 1 and 1 to "
              + experts
              + " experts per token, found maxTokens "
              + maxTokens
              + ", perToken "
              + perToken);
    }
    this.maxTokens = maxTokens;
    this.experts = experts;
    this.perToken = perToken;
    this.renormalized = renormalized;
    int slots = Math.multiplyExact(maxTokens, perToken);
    expertOf = new int[slots];
    weights = new float[slots];
    entryOf = new int[slots];
    slotOf = new int[slots];
    ends = new int[experts + 1];
  }

  /**
   * Chooses the experts of one shard's tokens: those of the largest logits, the first among equals;
   * NaN is less than all others.
   *
   * @param logits {@code [tokens, experts]}
   */
  public void choose(Rows logits, int tokens, Shard shard) {
    logits.check("logits", tokens, experts);
    checkTokens(tokens);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      int first = token * perToken;
      chooseLargest(logits, token, first);
      weigh(logits, token, first);
    }
  }

  private void checkTokens(int tokens) {
    if (tokens < 0 || tokens > maxTokens) {
      throw new IllegalArgumentException(
          "expert groups: expected 0 to " + maxTokens + " tokens, found " + tokens);
    }
  }

  private void chooseLargest(Rows logits, int token, int first) {
    for (int expert = 0; expert < experts; expert++) {
      int place = first + Math.min(expert, perToken);
      while (place > first && less(logits, token, expertOf[place - 1], expert)) {
        if (place < first + perToken) {
          expertOf[place] = expertOf[place - 1];
        }
        place--;
      }
      if (place < first + perToken) {
        expertOf[place] = expert;
      }
    }
  }

  private static boolean less(Rows logits, int token, int expert, int other) {
    float mine = logits.get(token, expert);
    float its = logits.get(token, other);
    return mine < its || (Float.isNaN(mine) && !Float.isNaN(its));
  }

  private void weigh(Rows logits, int token, int first) {
    double max = logits.get(token, expertOf[first]);
    Arrays.sort(expertOf, first, first + perToken);
    double total = 0;
    for (int i = 0; i < (renormalized ? perToken : experts); i++) {
      int expert = renormalized ? expertOf[first + i] : i;
      total += StrictMath.exp(logits.get(token, expert) - max);
    }
    for (int slot = first; slot < first + perToken; slot++) {
      weights[slot] = (float) (StrictMath.exp(logits.get(token, expertOf[slot]) - max) / total);
    }
  }

  /** Groups the tokens of all shards by their experts. */
  public void group(int tokens) {
    checkTokens(tokens);
    Arrays.fill(ends, 0);
    int slots = tokens * perToken;
    for (int slot = 0; slot < slots; slot++) {
      ends[expertOf[slot] + 1]++;
    }
    for (int expert = 0; expert < experts; expert++) {
      ends[expert + 1] += ends[expert];
    }
    // Where an expert begins moves on to where it ends, which is where the next one began.
    for (int slot = 0; slot < slots; slot++) {
      int entry = ends[expertOf[slot]]++;
      entryOf[slot] = entry;
      slotOf[entry] = slot;
    }
  }

  /** Returns how many experts there are. */
  public int experts() {
    return experts;
  }

  /** Returns to how many experts a token goes. */
  public int perToken() {
    return perToken;
  }

  /** Returns the first entry of an expert. */
  public int first(int expert) {
    return expert == 0 ? 0 : ends[expert - 1];
  }

  /** Returns the end of an expert's entries; its first entry if it has none. */
  public int end(int expert) {
    return ends[expert];
  }

  /** Returns the token of an entry. */
  public int token(int entry) {
    return slotOf[entry] / perToken;
  }

  /** Returns the weight of an entry. */
  public float weight(int entry) {
    return weights[slotOf[entry]];
  }

  /**
   * Returns the entry of one of a token's experts.
   *
   * @param index which of them, in ascending order of the experts, from 0
   */
  public int entry(int token, int index) {
    return entryOf[token * perToken + index];
  }
}
