package dev.lorikeet.jlama.kernel;

import java.util.Arrays;

/**
 * Causal attention within packed sequences, forward and backward, for training: keys and values lie
 * in rows of their own, one per token, not in pages. Each call is one phase of a {@link
 * WorkerTeam}, which may be repeated; shards share out sequences times key and value heads.
 *
 * <p>What a sequence's tokens get depends on that sequence alone: not on the others, on where in
 * the rows it lies, or on the number of shards, bit for bit. Implementations are stateless and
 * allocate nothing. Memory must stay alive while a call runs; sizes are checked once per call, with
 * {@link IllegalArgumentException}.
 */
public sealed interface SequenceAttention permits ScalarSequenceAttention, VectorSequenceAttention {
  /** A window that holds all positions. */
  int NO_WINDOW = Integer.MAX_VALUE;

  /**
   * The sizes.
   *
   * @param heads number of query heads; query head h reads key and value head {@code h / (heads /
   *     kvHeads)}
   * @param kvHeads number of key and value heads; divides {@code heads}
   * @param headDim width of a head
   * @param window how many positions a token sees, itself the last; {@link #NO_WINDOW} for all
   */
  record Shape(int heads, int kvHeads, int headDim, int window) {
    public Shape {
      if (heads < 1 || kvHeads < 1 || headDim < 1 || window < 1 || heads % kvHeads != 0) {
        throw new IllegalArgumentException(
            "attention: expected sizes of at least 1 and heads to be a multiple of kvHeads, found heads "
                + heads
                + ", kvHeads "
                + kvHeads
                + ", headDim "
                + headDim
                + ", window "
                + window);
      }
    }

    int group() {
      return heads / kvHeads;
    }

    /** Returns the factor of the scores: 1 / sqrt(headDim). */
    float scale() {
      return (float) (1 / Math.sqrt(headDim));
    }

    /** Returns the first position that a position sees. */
    int firstSeen(int position) {
      return Math.max(0, position - window + 1);
    }
  }

  /**
   * Queries, keys and values, or their gradients.
   *
   * @param q {@code [tokens, heads * headDim]}
   * @param k {@code [tokens, kvHeads * headDim]}
   * @param v {@code [tokens, kvHeads * headDim]}
   */
  record Inputs(Rows q, Rows k, Rows v) {}

  /**
   * What attention gives.
   *
   * @param out {@code [tokens, heads * headDim]}
   * @param logSumExp of the scaled scores of each token and head, {@code [tokens, heads]}: what the
   *     backward needs to compute the weights again
   */
  record Outputs(Rows out, Rows logSumExp) {}

  /**
   * Computes one shard's part of the attention.
   *
   * @param starts where each sequence begins, and the number of tokens as the last; increasing from
   *     0
   * @param outputs overwritten
   */
  void attend(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      SequenceScratch scratch,
      Shard shard);

  /**
   * Computes one shard's part of the gradients.
   *
   * @param inputs what the forward had
   * @param outputs what it gave
   * @param dOut the gradient of {@code outputs.out()}
   * @param gradients overwritten; must not overlap the others
   */
  void back(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      Inputs gradients,
      SequenceScratch scratch,
      Shard shard);

  /** Returns the length of the longest sequence. */
  static int longest(int[] starts) {
    int longest = 0;
    for (int s = 0; s + 1 < starts.length; s++) {
      longest = Math.max(longest, starts[s + 1] - starts[s]);
    }
    return longest;
  }

  /** Checks operands and returns the number of sequences. */
  static int check(Shape shape, int[] starts, Inputs inputs, Outputs outputs) {
    int sequences = starts.length - 1;
    boolean ordered = sequences >= 0 && starts[0] == 0;
    for (int s = 0; s < sequences; s++) {
      ordered &= starts[s] < starts[s + 1];
    }
    if (!ordered) {
      throw new IllegalArgumentException(
          "attention: expected starts that increase from 0, found " + Arrays.toString(starts));
    }
    int tokens = starts[sequences];
    check(shape, tokens, inputs);
    outputs.out().check("out", tokens, shape.heads() * shape.headDim());
    outputs.logSumExp().check("logSumExp", tokens, shape.heads());
    return sequences;
  }

  /** Checks queries, keys and values, or their gradients. */
  static void check(Shape shape, int tokens, Inputs inputs) {
    inputs.q().check("q", tokens, shape.heads() * shape.headDim());
    inputs.k().check("k", tokens, shape.kvHeads() * shape.headDim());
    inputs.v().check("v", tokens, shape.kvHeads() * shape.headDim());
  }

  /**
   * Returns whether a unit of work, a sequence and a key and value head, is a shard's: that in
   * whose part of the total cost it begins.
   *
   * @param done the cost of the units before
   * @param total the cost of all
   */
  static boolean isMine(long done, long total, Shard shard) {
    return done * shard.count() / total == shard.index();
  }

  /** Returns the cost of a unit: pairs of positions, windows apart. */
  static long cost(int length) {
    return (long) length * (length + 31);
  }
}
