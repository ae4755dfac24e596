package dev.lorikeet.jlama.training;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A micro-batch on its way through a {@link CpuTrainingStage}, in one piece of memory. */
final class CpuPass implements TrainingPass {
  private final CpuTrainingStage stage;
  private final MicroBatch batch;
  private final LoraBatch adapters;
  private final long adaptersRevision;
  private final PassMemory.Piece memory;
  private final int[] starts;
  private final Magnitudes magnitudes = new Magnitudes();

  /** The residual stream before each layer and behind the last; without a backward, in turns. */
  private final List<Rows> stream = new ArrayList<>();

  /** Of the last layers, everything. */
  private final List<LayerActivations> kept = new ArrayList<>();

  private final boolean backward;
  private final int layers;
  private final Optional<Rows> gradient;
  private final int[] labelled;
  private Optional<StageOutput> output = Optional.empty();
  private boolean wentBack;
  private boolean closed;

  CpuPass(
      CpuTrainingStage stage,
      MicroBatch batch,
      LoraBatch adapters,
      PassMemory.Piece memory,
      Layout layout) {
    this.stage = stage;
    this.batch = batch;
    this.adapters = adapters;
    this.adaptersRevision = adapters.revision();
    this.memory = memory;
    this.starts = batch.copyStarts();
    int tokens = batch.tokens();
    SegmentAllocator slices = SegmentAllocator.slicingAllocator(memory.segment());
    backward = layout.retention.backward();
    layers = layout.layers;
    for (int l = 0; l < layout.streams(); l++) {
      stream.add(Rows.allocate(slices, tokens, layout.shape.hidden()));
    }
    gradient =
        backward
            ? Optional.of(Rows.allocate(slices, tokens, layout.shape.hidden()))
            : Optional.empty();
    for (int l = 0; l < layout.kept(); l++) {
      kept.add(LayerActivations.allocate(slices, layout.shape, layout.headNorms, tokens));
    }
    labelled = new int[stage.span().scores() ? countLabelled() : 0];
    int next = 0;
    for (int t = 0; t < tokens && next < labelled.length; t++) {
      if (batch.label(t) != MicroBatch.NO_LOSS) {
        labelled[next++] = t;
      }
    }
  }

  /**
   * What a pass consists of.
   *
   * @param shape of the model
   * @param headNorms whether heads of q and k have norms
   * @param layers of the stage
   * @param retention of how many of them everything is kept
   */
  record Layout(ModelShape shape, boolean headNorms, int layers, Retention retention) {
    int kept() {
      return Math.min(layers, retention.keptLayers());
    }

    int streams() {
      return retention.backward() ? layers + 1 : 2;
    }

    long bytes(int tokens) {
      return (streams() + (retention.backward() ? 1 : 0)) * Rows.bytes(tokens, shape.hidden())
          + kept() * LayerActivations.bytes(shape, headNorms, tokens);
    }
  }

  private int countLabelled() {
    int count = 0;
    for (int t = 0; t < batch.tokens(); t++) {
      count += batch.label(t) == MicroBatch.NO_LOSS ? 0 : 1;
    }
    return count;
  }

  @Override
  public MicroBatch batch() {
    return batch;
  }

  @Override
  public StageOutput output() {
    return output.orElseThrow();
  }

  void output(StageOutput value) {
    output = Optional.of(value);
  }

  CpuTrainingStage stage() {
    return stage;
  }

  LoraBatch adapters() {
    return adapters;
  }

  Magnitudes magnitudes() {
    return magnitudes;
  }

  PassMemory.Piece memory() {
    return memory;
  }

  int[] starts() {
    return starts;
  }

  /** Returns the input of a layer of the stage, from 0; behind the last, its output. */
  Rows stream(int layer) {
    return stream.get(layer % stream.size());
  }

  /** Returns what is kept of a layer of the stage, if everything is. */
  Optional<LayerActivations> kept(int layer) {
    int place = layer - (layers - kept.size());
    return place < 0 ? Optional.empty() : Optional.of(kept.get(place));
  }

  /** Returns room for a gradient of the stream, if there is a backward. */
  Optional<Rows> gradient() {
    return gradient;
  }

  /** Returns the tokens with a label, if the stage scores. */
  int[] labelled() {
    return labelled;
  }

  /** Notes that the backward begins. */
  void goBack() {
    if (closed || wentBack) {
      throw new IllegalStateException(
          closed ? "training pass: closed" : "training pass: its backward has run before");
    }
    if (!backward) {
      throw new IllegalStateException("training pass: nothing was kept for a backward");
    }
    if (adapters.revision() != adaptersRevision) {
      throw new IllegalStateException(
          "training pass: the batch of adapters has changed since the forward");
    }
    wentBack = true;
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      stage.release(this);
    }
  }
}
