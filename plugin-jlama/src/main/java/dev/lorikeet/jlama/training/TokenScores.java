package dev.lorikeet.jlama.training;

import dev.lorikeet.host.step.Turns;
import dev.lorikeet.jlama.kernel.BackElementwise;
import dev.lorikeet.jlama.kernel.BackMatMul;
import dev.lorikeet.jlama.kernel.BackMatMul.Term;
import dev.lorikeet.jlama.kernel.Elementwise;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.TokenLoss;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.ModelWeights;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** The end of a model: from hidden states to log-probabilities of labels, and back. */
final class TokenScores implements AutoCloseable {
  /*
   * Idea. Logits of all tokens and the whole vocabulary would be the largest thing in memory: they are computed 1,024
   * at a time, for the tokens that have a label alone, summed up, and forgotten. The gradient of a log-probability is
   * the label's row of the output matrix less the expected row, sum(p_v W_v) over the vocabulary. That is attention
   * over the rows of the matrix: like FlashAttention, one walk over the chunks gives the sum of exponentials and, while
   * the chunk is in the cache, the expected row, rescaled when the largest logit changes. So the backward, whose
   * coefficients nobody knows yet, needs neither logits nor the matrix any more; computing the logits again for it
   * would cost half as much again.
   *
   * Cost for each token with a label: 4 * vocabulary * hidden flops, or half of it if there is no backward, and hidden
   * floats that are kept.
   *
   * Invariance. Chunks are cut by the vocabulary alone, and a token's row is computed by kernels that look at no other.
   */
  private static final int CHUNK = 1024;

  private static final MatMul MAT_MUL = Kernels.get().matMul();
  private static final Elementwise ELEMENTWISE = Kernels.get().elementwise();
  private static final BackMatMul BACK_MAT_MUL = Kernels.get().training().matMul();
  private static final BackElementwise BACK = Kernels.get().training().elementwise();
  private static final TokenLoss LOSS = Kernels.get().training().loss();

  private final Arena arena = Arena.ofShared();
  private final StageWork work;
  private final WorkerTeam team;
  private final Turns turns;
  private final MemorySegment norm;
  private final WeightMatrix output;
  private final List<Chunk> chunks = new ArrayList<>();
  private final Rows last;
  private final Rows part;
  private final long bytes;

  /**
   * A part of the vocabulary.
   *
   * @param first the first id
   * @param weights their rows of the output matrix
   * @param logits room for their logits
   * @param term both, for the expected row
   */
  private record Chunk(int first, WeightMatrix weights, Rows logits, List<Term> term) {
    /** Returns the place of an id in this chunk, or -1. */
    int place(int id) {
      return id >= first && id < first + weights.rows() ? id - first : -1;
    }
  }

  TokenScores(StageWork work, ModelWeights model, WorkerTeam team, Turns turns, int maxTokens) {
    this.work = work;
    this.team = team;
    this.turns = turns;
    this.norm = model.finalNorm().weight();
    this.output = model.output();
    int vocabulary = work.shape.vocabulary();
    int hidden = work.shape.hidden();
    int width = Math.min(CHUNK, vocabulary);
    Rows logits = Rows.allocate(arena, maxTokens, width);
    for (int first = 0; first < vocabulary; first += width) {
      int count = Math.min(width, vocabulary - first);
      Rows room = new Rows(logits.segment(), logits.stride(), maxTokens, count);
      WeightMatrix weights = output.slice(first, count);
      chunks.add(new Chunk(first, weights, room, List.of(new Term(weights, room))));
    }
    last = Rows.allocate(arena, maxTokens, hidden);
    part = Rows.allocate(arena, maxTokens, hidden);
    bytes = Rows.bytes(maxTokens, width) + 2 * Rows.bytes(maxTokens, hidden);
  }

  /** Returns the bytes it holds. */
  long bytes() {
    return bytes;
  }

  /**
   * Computes log-probabilities.
   *
   * @param hidden the output of the last layer, a row a token
   * @param tokens those with a label
   * @param labels their labels
   * @param expected receives, by place in {@code tokens}, what {@link #backward} needs; empty if
   *     there will be none
   * @return the log-probabilities, likewise
   */
  double[] forward(Rows hidden, int[] tokens, int[] labels, Optional<Rows> expected) {
    if (tokens.length == 0) {
      return new double[0];
    }
    Forward phases = new Forward(hidden, tokens, labels, expected);
    int end = 1 + Forward.PER_CHUNK * chunks.size();
    turns.run(() -> team.run(phases, 0, 1));
    for (int phase = 1; phase < end; phase += Forward.PER_CHUNK) {
      int first = phase;
      turns.run(() -> team.run(phases, first, first + Forward.PER_CHUNK));
    }
    turns.run(() -> team.run(phases, end, end + 1));
    double[] values = new double[tokens.length];
    for (int r = 0; r < tokens.length; r++) {
      values[r] = phases.logits[r] - phases.max[r] - Math.log(phases.sum[r]);
    }
    return values;
  }

  /** The phases: preparation, three of each chunk, and the last sum. */
  private final class Forward implements WorkerTeam.Phases {
    private static final int LOGITS = 0;
    private static final int TAKE = 1;
    private static final int EXPECT = 2;
    private static final int PER_CHUNK = 3;

    private final Rows hidden;
    private final int[] tokens;
    private final int[] labels;
    private final Optional<Rows> expected;
    private final double[] max;
    private final double[] sum;
    private final double[] logits;

    Forward(Rows hidden, int[] tokens, int[] labels, Optional<Rows> expected) {
      this.hidden = hidden;
      this.tokens = tokens;
      this.labels = labels;
      this.expected = expected;
      max = new double[tokens.length];
      Arrays.fill(max, Double.NEGATIVE_INFINITY);
      sum = new double[tokens.length];
      logits = new double[tokens.length];
    }

    private boolean isOfChunk(int phase) {
      return phase != 0 && phase <= PER_CHUNK * chunks.size();
    }

    private Chunk chunk(int phase) {
      return chunks.get((phase - 1) / PER_CHUNK);
    }

    private static int step(int phase) {
      return (phase - 1) % PER_CHUNK;
    }

    @Override
    public int parts(int phase) {
      if (!isOfChunk(phase) || step(phase) == TAKE) {
        return work.parts.byTokens(tokens.length);
      }
      return step(phase) == EXPECT && expected.isEmpty()
          ? 0
          : work.parts.byWork(chunk(phase).weights.elements(), tokens.length);
    }

    @Override
    public boolean repeatable(int phase) {
      return isOfChunk(phase) && step(phase) != TAKE;
    }

    @Override
    public void run(int phase, Shard shard) {
      int count = tokens.length;
      if (phase == 0) {
        for (int r = shard.first(count); r < shard.end(count); r++) {
          hidden.copyRow(tokens[r], last, r);
        }
        ELEMENTWISE.rmsNorm(last, norm, work.epsilon, work.normed, count, shard);
        MAT_MUL.pack(work.panel, work.normed, count, shard);
      } else if (!isOfChunk(phase)) {
        for (int r = shard.first(count); r < shard.end(count); r++) {
          collect(r, (float) (1 / sum[r]), false);
        }
      } else {
        Chunk chunk = chunk(phase);
        switch (step(phase)) {
          case LOGITS -> MAT_MUL.multiply(chunk.weights, work.panel, chunk.logits, shard);
          case TAKE -> take(chunk, shard);
          default -> BACK_MAT_MUL.multiply(chunk.term, part, count, work.back, shard);
        }
      }
    }

    private void take(Chunk chunk, Shard shard) {
      for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
        int place = chunk.place(labels[r]);
        if (place >= 0) {
          logits[r] = chunk.logits.get(r, place);
        }
        float factor = LOSS.take(chunk.logits, r, chunk.weights.rows(), max, sum);
        collect(r, factor, chunk.first == 0);
      }
    }

    /** Adds what the chunk before has given to the expected row, and scales it. */
    private void collect(int r, float factor, boolean isFirst) {
      if (expected.isPresent()) {
        Rows rows = expected.get();
        if (isFirst) {
          zero(rows, r);
        } else {
          LOSS.addAndScale(part, rows, r, factor);
        }
      }
    }
  }

  private static void zero(Rows rows, int row) {
    rows.segment().asSlice(row * rows.stride(), rows.stride()).fill((byte) 0);
  }

  /**
   * Computes the gradient of hidden states.
   *
   * @param hidden as {@link #forward} had them
   * @param tokens as it had them
   * @param labels their labels
   * @param coefficients the gradients of their log-probabilities
   * @param d what {@link #forward} left as {@code expected}; becomes the gradient of all tokens,
   *     zero for those without a label
   */
  void backward(Rows hidden, int[] tokens, int[] labels, float[] coefficients, Rows d) {
    turns.run(
        () ->
            team.run(
                (index, count) ->
                    backward(hidden, tokens, labels, coefficients, d, new Shard(index, count))));
    d.segment().fill((byte) 0);
    for (int r = 0; r < tokens.length; r++) {
      part.copyRow(r, d, tokens[r]);
    }
  }

  private void backward(
      Rows hidden, int[] tokens, int[] labels, float[] coefficients, Rows d, Shard shard) {
    for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
      hidden.copyRow(tokens[r], last, r);
      LOSS.gradient(output, labels[r], d, work.dNormed, r, coefficients[r]);
      zero(part, r);
    }
    BACK.addRmsNorm(last, norm, work.epsilon, work.dNormed, part, tokens.length, shard);
  }

  /**
   * Returns hidden states behind the final norm, {@code [tokens, hidden]}.
   *
   * @param hidden the output of the last layer
   * @param tokens whose
   */
  float[] states(Rows hidden, int[] tokens) {
    int width = hidden.columns();
    float[] states = new float[tokens.length * width];
    if (tokens.length == 0) {
      return states;
    }
    turns.run(
        () ->
            team.run(
                (index, count) -> {
                  Shard shard = new Shard(index, count);
                  for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
                    hidden.copyRow(tokens[r], last, r);
                  }
                  ELEMENTWISE.rmsNorm(last, norm, work.epsilon, work.normed, tokens.length, shard);
                }));
    for (int r = 0; r < tokens.length; r++) {
      MemorySegment.copy(work.normed.row(r), ValueLayout.JAVA_FLOAT, 0, states, r * width, width);
    }
    return states;
  }

  /**
   * Adds the gradients of such states to that of the hidden states.
   *
   * @param hidden as {@link #states} had them
   * @param tokens as it had them
   * @param gradients of what it gave
   * @param d the gradient of all tokens
   */
  void addStates(Rows hidden, int[] tokens, float[] gradients, Rows d) {
    if (tokens.length == 0) {
      return;
    }
    int width = hidden.columns();
    turns.run(
        () ->
            team.run(
                (index, count) -> {
                  Shard shard = new Shard(index, count);
                  for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
                    hidden.copyRow(tokens[r], last, r);
                    MemorySegment.copy(
                        gradients,
                        r * width,
                        work.dNormed.row(r),
                        ValueLayout.JAVA_FLOAT,
                        0,
                        width);
                    zero(part, r);
                  }
                  BACK.addRmsNorm(
                      last, norm, work.epsilon, work.dNormed, part, tokens.length, shard);
                }));
    for (int r = 0; r < tokens.length; r++) {
      for (int i = 0; i < width; i++) {
        d.set(tokens[r], i, d.get(tokens[r], i) + part.get(r, i));
      }
    }
  }

  @Override
  public void close() {
    arena.close();
  }
}
