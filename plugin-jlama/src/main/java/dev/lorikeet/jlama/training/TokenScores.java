package dev.lorikeet.jlama.training;

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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The end of a model: from hidden states to log-probabilities of labels, and back. */
final class TokenScores implements AutoCloseable {
  /*
   * Idea. Logits of all tokens and the whole vocabulary would be the largest thing in memory: they are computed 1,024
   * at a time, for the tokens that have a label alone, summed up, and forgotten. The backward computes them again and
   * turns each chunk into its gradient, which the same weights take back to the hidden states while they are in the
   * cache. So the output matrix is read once forward and once backward, and multiplied by once and twice.
   *
   * Invariance. Chunks are cut by the vocabulary alone, and a token's row is computed by kernels that look at no other.
   */
  private static final int CHUNK = 1024;

  private static final int PREPARE = 0;

  private static final MatMul MAT_MUL = Kernels.get().matMul();
  private static final Elementwise ELEMENTWISE = Kernels.get().elementwise();
  private static final BackMatMul BACK_MAT_MUL = Kernels.get().training().matMul();
  private static final BackElementwise BACK = Kernels.get().training().elementwise();
  private static final TokenLoss LOSS = Kernels.get().training().loss();

  private final Arena arena = Arena.ofShared();
  private final StageWork work;
  private final WorkerTeam team;
  private final MemorySegment norm;
  private final List<Chunk> chunks = new ArrayList<>();
  private final Rows last;
  private final Rows dLast;
  private final Rows dPart;
  private final long bytes;

  /**
   * A part of the vocabulary.
   *
   * @param first the first id
   * @param weights their rows of the output matrix
   * @param logits room for their logits
   */
  private record Chunk(int first, WeightMatrix weights, Rows logits) {
    /** Returns the place of an id in this chunk, or -1. */
    int place(int id) {
      return id >= first && id < first + weights.rows() ? id - first : -1;
    }
  }

  TokenScores(StageWork work, ModelWeights model, WorkerTeam team, int maxTokens) {
    this.work = work;
    this.team = team;
    this.norm = model.finalNorm();
    int vocabulary = work.shape.vocabulary();
    int hidden = work.shape.hidden();
    int width = Math.min(CHUNK, vocabulary);
    Rows logits = Rows.allocate(arena, maxTokens, width);
    for (int first = 0; first < vocabulary; first += width) {
      int count = Math.min(width, vocabulary - first);
      Rows part = new Rows(logits.segment(), logits.stride(), maxTokens, count);
      chunks.add(new Chunk(first, model.output().slice(first, count), part));
    }
    last = Rows.allocate(arena, maxTokens, hidden);
    dLast = Rows.allocate(arena, maxTokens, hidden);
    dPart = Rows.allocate(arena, maxTokens, hidden);
    bytes = Rows.bytes(maxTokens, width) + 3 * Rows.bytes(maxTokens, hidden);
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
   * @param logSumExp receives, by place in {@code tokens}, what {@link #backward} needs
   * @return the log-probabilities, likewise
   */
  double[] forward(Rows hidden, int[] tokens, int[] labels, double[] logSumExp) {
    Forward phases = new Forward(hidden, tokens, labels);
    team.run(phases, 0, 1 + 2 * chunks.size());
    double[] values = new double[tokens.length];
    for (int r = 0; r < tokens.length; r++) {
      logSumExp[r] = phases.max[r] + Math.log(phases.sum[r]);
      values[r] = phases.logits[r] - logSumExp[r];
    }
    return values;
  }

  /**
   * Computes the gradient of hidden states.
   *
   * @param hidden as {@link #forward} had them
   * @param tokens some of those with a label
   * @param labels their labels
   * @param logSumExp theirs
   * @param coefficients the gradients of their log-probabilities
   * @param d receives the gradient of all tokens, zero for those that are not given
   */
  void backward(
      Rows hidden, int[] tokens, int[] labels, double[] logSumExp, float[] coefficients, Rows d) {
    d.segment().fill((byte) 0);
    Backward phases = new Backward(hidden, tokens, labels, logSumExp, coefficients, d);
    team.run(phases, 0, 2 + 4 * chunks.size());
  }

  @Override
  public void close() {
    arena.close();
  }

  /** Gathers rows and norms them, for the products of all chunks. */
  private void prepare(Rows hidden, int[] tokens, Shard shard) {
    int count = tokens.length;
    for (int r = shard.first(count); r < shard.end(count); r++) {
      hidden.copyRow(tokens[r], last, r);
    }
    ELEMENTWISE.rmsNorm(last, norm, work.epsilon, work.normed, count, shard);
    MAT_MUL.pack(work.panel, work.normed, count, shard);
  }

  /** The phases: preparation, then logits and sums of each chunk. */
  private final class Forward implements WorkerTeam.Phases {
    private final Rows hidden;
    private final int[] tokens;
    private final int[] labels;
    private final double[] max;
    private final double[] sum;
    private final double[] logits;

    Forward(Rows hidden, int[] tokens, int[] labels) {
      this.hidden = hidden;
      this.tokens = tokens;
      this.labels = labels;
      max = new double[tokens.length];
      Arrays.fill(max, Double.NEGATIVE_INFINITY);
      sum = new double[tokens.length];
      logits = new double[tokens.length];
    }

    @Override
    public int parts(int phase) {
      return repeatable(phase) && tokens.length > 0
          ? work.parts.byWork(chunks.get((phase - 1) / 2).weights.elements(), tokens.length)
          : work.parts.byTokens(tokens.length);
    }

    @Override
    public boolean repeatable(int phase) {
      return phase % 2 == 1;
    }

    @Override
    public void run(int phase, Shard shard) {
      if (phase == PREPARE) {
        prepare(hidden, tokens, shard);
        return;
      }
      Chunk chunk = chunks.get((phase - 1) / 2);
      if (repeatable(phase)) {
        MAT_MUL.multiply(chunk.weights, work.panel, chunk.logits, shard);
        return;
      }
      for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
        int place = chunk.place(labels[r]);
        if (place >= 0) {
          logits[r] = chunk.logits.get(r, place);
        }
        LOSS.take(chunk.logits, r, chunk.weights.rows(), max, sum);
      }
    }
  }

  /** The phases: preparation, four of each chunk, and the norm. */
  private final class Backward implements WorkerTeam.Phases {
    private static final int LOGITS = 0;
    private static final int GRADIENT = 1;
    private static final int BACK_PRODUCT = 2;
    private static final int ADD = 3;
    private static final int PER_CHUNK = 4;

    private final Rows hidden;
    private final int[] tokens;
    private final int[] labels;
    private final double[] logSumExp;
    private final float[] coefficients;
    private final Rows d;
    private final List<List<Term>> terms;

    Backward(
        Rows hidden, int[] tokens, int[] labels, double[] logSumExp, float[] coefficients, Rows d) {
      this.hidden = hidden;
      this.tokens = tokens;
      this.labels = labels;
      this.logSumExp = logSumExp;
      this.coefficients = coefficients;
      this.d = d;
      this.terms = chunks.stream().map(c -> List.of(new Term(c.weights, c.logits))).toList();
    }

    private boolean isOfChunk(int phase) {
      return phase != PREPARE && phase <= PER_CHUNK * chunks.size();
    }

    @Override
    public int parts(int phase) {
      return repeatable(phase) && tokens.length > 0
          ? work.parts.byWork(chunks.get((phase - 1) / PER_CHUNK).weights.elements(), tokens.length)
          : work.parts.byTokens(tokens.length);
    }

    @Override
    public boolean repeatable(int phase) {
      int step = (phase - 1) % PER_CHUNK;
      return isOfChunk(phase) && (step == LOGITS || step == BACK_PRODUCT);
    }

    @Override
    public void run(int phase, Shard shard) {
      if (phase == PREPARE) {
        prepare(hidden, tokens, shard);
        zero(dLast, shard);
      } else if (isOfChunk(phase)) {
        int number = (phase - 1) / PER_CHUNK;
        chunk(chunks.get(number), terms.get(number), (phase - 1) % PER_CHUNK, shard);
      } else {
        zero(dPart, shard);
        BACK.addRmsNorm(last, norm, work.epsilon, dLast, dPart, tokens.length, shard);
        for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
          dPart.copyRow(r, d, tokens[r]);
        }
      }
    }

    private void chunk(Chunk chunk, List<Term> product, int step, Shard shard) {
      int count = tokens.length;
      switch (step) {
        case LOGITS -> MAT_MUL.multiply(chunk.weights, work.panel, chunk.logits, shard);
        case GRADIENT -> {
          for (int r = shard.first(count); r < shard.end(count); r++) {
            LOSS.gradient(
                chunk.logits,
                r,
                chunk.weights.rows(),
                chunk.place(labels[r]),
                logSumExp[r],
                coefficients[r]);
          }
        }
        case BACK_PRODUCT -> BACK_MAT_MUL.multiply(product, dPart, count, work.back, shard);
        case ADD -> ELEMENTWISE.add(dPart, dLast, count, shard);
        default -> throw new IllegalStateException("step " + step + " of a chunk");
      }
    }

    private void zero(Rows rows, Shard shard) {
      for (int r = shard.first(tokens.length); r < shard.end(tokens.length); r++) {
        rows.segment().asSlice(r * rows.stride(), rows.stride()).fill((byte) 0);
      }
    }
  }
}
