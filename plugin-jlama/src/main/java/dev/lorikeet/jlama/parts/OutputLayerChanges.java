package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.PartWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.Kernels;
import dev.lorikeet.jlama.kernel.MatMul;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.Shard;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Logits as adapters change them. Used by the decoding thread. */
public final class OutputLayerChanges implements AutoCloseable {
  /*
   * Idea. Rows of logits are tokens of a batch of their own, for which the LoRA executor adds its deltas as for any
   * module. A matrix that was trained in full, or single rows of one, is multiplied in place: the hidden states of the
   * rows that use it are gathered, packed once, and multiplied by each run of rows that is contiguous in memory (a page
   * of the pool holds tens of them), runs shared out among the workers. The product takes the place of the base model's
   * logits; in a mixture each adds w (other - base), for which the base model's logits are kept aside.
   * Cost: the bytes of the adapter's matrix once a step, as of the base model's; what the base model's product of these
   * rows cost is lost.
   */
  private static final TargetModule MODULE = TargetModule.output();

  private static final int KNOWN = 16;

  private final WorkerTeam team;
  private final LoraExecutor executor;
  private final ActivationPanel panel;
  private final Rows hidden;
  private final Rows logits;
  private final Tensor hiddenTensor;
  private final List<Tensor> logitsTensor;
  private final boolean tied;
  private final LoraBatch batch = new LoraBatch();
  private final MatMul matMul = Kernels.get().matMul();
  private final Arena arena = Arena.ofShared();
  private final int[] rowOf;
  private final int[] uses;
  private boolean weighed;
  private final @Nullable PartWeights[] known = new PartWeights[KNOWN];
  private final List<List<Run>> knownRuns = new ArrayList<>(Collections.nCopies(KNOWN, List.of()));
  private int oldest;
  private Optional<Rows> gathered = Optional.empty();
  private Optional<Rows> product = Optional.empty();
  private Optional<Rows> kept = Optional.empty();

  /**
   * Where logits are computed.
   *
   * @param hidden the final hidden states of the rows, {@code [rows, hidden]}
   * @param logits {@code [rows, vocabulary]}
   * @param panel packs rows; free between products
   */
  public record Buffers(Rows hidden, Rows logits, ActivationPanel panel) {}

  /**
   * Creates the changes of a model.
   *
   * @param tied whether its output matrix is that of its embeddings
   * @param maxTokens the most tokens of a step
   */
  public OutputLayerChanges(
      WorkerTeam team, LoraExecutor executor, Buffers buffers, boolean tied, int maxTokens) {
    this.team = team;
    this.executor = executor;
    this.panel = buffers.panel();
    this.hidden = buffers.hidden();
    this.logits = buffers.logits();
    this.hiddenTensor = hidden.tensor();
    this.logitsTensor = List.of(logits.tensor());
    this.tied = tied;
    this.rowOf = new int[maxTokens];
    this.uses = new int[logits.rows()];
  }

  /** Changes the logits of a step, before they are scaled and capped. */
  public void apply(LoraBatch lora, StepBatch step) {
    Arrays.fill(rowOf, 0, step.tokens(), -1);
    for (int row = 0; row < step.logits(); row++) {
      rowOf[step.logitToken(row)] = row;
    }
    replaceRows(lora, step.logits());
    batch.reset(step.logits());
    boolean any = false;
    for (int s = 0; s < lora.segments(); s++) {
      if (lora.adapter(s).weights(MODULE).isPresent()) {
        any = true;
        batch.beginSegment(lora.adapter(s));
        for (int e = lora.segmentStart(s); e < lora.segmentEnd(s); e++) {
          if (rowOf[lora.token(e)] >= 0) {
            batch.add(rowOf[lora.token(e)], lora.weight(e));
          }
        }
      }
    }
    if (any) {
      executor.addDelta(TargetGroup.output(), batch, hiddenTensor, logitsTensor);
    }
  }

  private void replaceRows(LoraBatch lora, int count) {
    weighed = false;
    Arrays.fill(uses, 0, count, 0);
    for (int s = 0; s < lora.segments(); s++) {
      if (rowsOf(lora.adapter(s)).isPresent()) {
        for (int e = lora.segmentStart(s); e < lora.segmentEnd(s); e++) {
          int row = rowOf[lora.token(e)];
          weighed |= row >= 0 && (lora.weight(e) != 1 || ++uses[row] > 1);
        }
      }
    }
    if (weighed) {
      kept =
          Optional.of(kept.orElseGet(() -> Rows.allocate(arena, logits.rows(), logits.columns())));
      for (int row = 0; row < count; row++) {
        logits.copyRow(row, kept.get(), row);
      }
    }
    for (int s = 0; s < lora.segments(); s++) {
      Optional<PartWeights> rows = rowsOf(lora.adapter(s));
      if (rows.isPresent()) {
        replace(rows.get(), lora, s);
      }
    }
  }

  /** A tied matrix has trained rows in both places; one trained as a whole is in its own alone. */
  private Optional<PartWeights> rowsOf(AdapterLease lease) {
    Optional<PartWeights> rows = lease.part(MODULE, PartSpec.Kind.ROWS);
    return rows.isPresent() || !tied
        ? rows
        : lease
            .part(TargetModule.embedding(), PartSpec.Kind.ROWS)
            .filter(part -> !part.spec().indices().isEmpty());
  }

  private void replace(PartWeights part, LoraBatch lora, int segment) {
    int[] rows = new int[lora.segmentEnd(segment) - lora.segmentStart(segment)];
    float[] weights = new float[rows.length];
    int count = 0;
    for (int e = lora.segmentStart(segment); e < lora.segmentEnd(segment); e++) {
      if (rowOf[lora.token(e)] >= 0) {
        weights[count] = lora.weight(e);
        rows[count++] = rowOf[lora.token(e)];
      }
    }
    if (count == 0) {
      return;
    }
    int used = count;
    Rows x = reserveGathered(used);
    for (int i = 0; i < used; i++) {
      hidden.copyRow(rows[i], x, i);
    }
    Rows y = reserveProduct(used);
    List<Run> runs = runsOf(part);
    team.quiesce(); // a worker that is late with a part of the base model's product has its scratch
    team.run((index, of) -> matMul.pack(panel, x, used, new Shard(index, of)));
    team.run(
        (index, of) -> {
          Shard mine = new Shard(index, of);
          Shard whole = Shard.wholeOf(index);
          for (int r = mine.first(runs.size()); r < mine.end(runs.size()); r++) {
            matMul.multiply(runs.get(r).weights(), panel, runs.get(r).output(y), whole);
          }
        });
    team.quiesce();
    team.run(
        (index, of) -> {
          Shard shard = new Shard(index, of);
          for (int i = shard.first(used); i < shard.end(used); i++) {
            mix(part.spec(), y, i, rows[i], weights[i]);
          }
        });
    team.quiesce();
  }

  private void mix(PartSpec spec, Rows y, int from, int row, float weight) {
    boolean isWhole = spec.indices().isEmpty();
    if (isWhole && !weighed) {
      y.copyRow(from, logits, row);
      return;
    }
    for (int i = 0; i < spec.rows(); i++) {
      int token = isWhole ? i : spec.indices().get(i);
      float value = y.get(from, i);
      if (weighed) {
        value = logits.get(row, token) + weight * (value - kept.orElseThrow().get(row, token));
      }
      logits.set(row, token, value);
    }
  }

  /**
   * Rows of a part that follow one another in memory.
   *
   * @param weights of them
   * @param first the number of the first
   */
  private record Run(WeightMatrix weights, int first) {
    Rows output(Rows y) {
      MemorySegment from = y.segment().asSlice((long) first * Float.BYTES);
      return new Rows(from, y.stride(), y.rows(), weights.rows());
    }
  }

  /** Steps ask for the same parts again and again. */
  private List<Run> runsOf(PartWeights part) {
    for (int i = 0; i < known.length; i++) {
      if (known[i] == part) {
        return knownRuns.get(i);
      }
    }
    List<Run> runs = runs(part);
    oldest = (oldest + 1) % known.length;
    known[oldest] = part;
    knownRuns.set(oldest, runs);
    return runs;
  }

  private static List<Run> runs(PartWeights part) {
    PartSpec spec = part.spec();
    ElementType type = spec.type();
    List<Run> runs = new ArrayList<>();
    int first = 0;
    while (first < spec.rows()) {
      int end = first + 1;
      while (end < spec.rows()
          && part.rowOffset(end) == part.rowOffset(end - 1) + spec.rowBytes()) {
        end++;
      }
      MemorySegment rows =
          part.memory().asSlice(part.rowOffset(first), (long) (end - first) * spec.rowBytes());
      runs.add(new Run(WeightMatrix.of(rows, type, end - first, spec.columns()), first));
      first = end;
    }
    return runs;
  }

  private Rows reserveGathered(int count) {
    if (gathered.isEmpty()) {
      gathered = Optional.of(Rows.allocate(arena, hidden.rows(), hidden.columns()));
    }
    return gathered.get().first(count);
  }

  /** Grows to the most rows that have used such adapters at once. */
  private Rows reserveProduct(int count) {
    if (product.isEmpty() || product.get().rows() < count) {
      product = Optional.of(Rows.allocate(arena, count, logits.columns()));
    }
    return product.get().first(count);
  }

  @Override
  public void close() {
    arena.close();
  }
}
