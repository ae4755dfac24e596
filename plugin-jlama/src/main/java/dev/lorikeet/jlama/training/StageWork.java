package dev.lorikeet.jlama.training;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.RopeFrequencies;
import dev.lorikeet.jlama.kernel.ActivationPanel;
import dev.lorikeet.jlama.kernel.BackScratch;
import dev.lorikeet.jlama.kernel.HugePages;
import dev.lorikeet.jlama.kernel.Parts;
import dev.lorikeet.jlama.kernel.RopeTable;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.jlama.kernel.SequenceAttention;
import dev.lorikeet.jlama.kernel.SequenceScratch;
import dev.lorikeet.shape.ModelShape;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.Optional;

/**
 * What the layers of a stage work with, one after the other: nothing in it outlives a layer.
 * Allocated once for the largest micro-batch.
 */
final class StageWork implements AutoCloseable {
  final ModelShape shape;
  final float epsilon;
  final boolean headNorms;
  final Parts parts;
  final SequenceAttention.Shape attention;
  final SequenceScratch sequences;
  final BackScratch back;
  final ActivationPanel panel;
  final RopeTable rope;
  final long bytes;
  final int maxTokens;

  /** Of the layer under way, where its pass does not keep its own. */
  final LayerActivations activations;

  /** The input of a block after its norm, {@code [tokens, hidden]}. */
  final Rows normed;

  /** What a block adds to the residual stream, {@code [tokens, hidden]}. */
  final Rows block;

  /** Input of the down-projection, {@code [tokens, intermediate]}. */
  final Rows active;

  // Gradients: of the above, of attention's output, of q, k and v.
  final Rows dNormed;
  final Rows dActive;
  final Rows dAttention;
  final SequenceAttention.Inputs dInputs;

  private final Arena arena = Arena.ofShared();
  private Optional<ModuleOutputs> outputs = Optional.empty();
  private Optional<DroppedInput> dropped = Optional.empty();

  StageWork(Architecture architecture, int maxTokens, int workers) {
    this.maxTokens = maxTokens;
    shape = architecture.shape();
    epsilon = (float) architecture.norm().epsilon();
    headNorms = architecture.attention().norms() == Norm.OfQueryAndKey.HEADS;
    parts = new Parts(workers);
    attention =
        new SequenceAttention.Shape(
            shape.heads(),
            shape.kvHeads(),
            shape.headDim(),
            architecture.attention().commonWindow().orElse(SequenceAttention.NO_WINDOW));
    int longest = Math.min(maxTokens, architecture.maxPositions());
    sequences = new SequenceScratch(attention, longest, workers);
    back = new BackScratch(workers);
    int widest = Math.max(Math.max(shape.hidden(), shape.intermediate()), shape.queryWidth());
    panel = new ActivationPanel(maxTokens, widest, workers);
    RopeFrequencies frequencies =
        RopeFrequencies.of(shape.headDim(), architecture.attention().ropes().getFirst());
    rope = new RopeTable(frequencies.inverse(), frequencies.scale(), shape.headDim());
    long rows =
        LayerActivations.bytes(shape, headNorms, maxTokens)
            + 3 * Rows.bytes(maxTokens, shape.hidden())
            + 2 * Rows.bytes(maxTokens, shape.intermediate())
            + 2 * Rows.bytes(maxTokens, shape.queryWidth())
            + 2 * Rows.bytes(maxTokens, shape.kvWidth());
    MemorySegment memory = HugePages.allocate(arena, rows);
    SegmentAllocator slices = SegmentAllocator.slicingAllocator(memory);
    activations = LayerActivations.allocate(slices, shape, headNorms, maxTokens);
    normed = Rows.allocate(slices, maxTokens, shape.hidden());
    block = Rows.allocate(slices, maxTokens, shape.hidden());
    dNormed = Rows.allocate(slices, maxTokens, shape.hidden());
    active = Rows.allocate(slices, maxTokens, shape.intermediate());
    dActive = Rows.allocate(slices, maxTokens, shape.intermediate());
    dAttention = Rows.allocate(slices, maxTokens, shape.queryWidth());
    dInputs =
        new SequenceAttention.Inputs(
            Rows.allocate(slices, maxTokens, shape.queryWidth()),
            Rows.allocate(slices, maxTokens, shape.kvWidth()),
            Rows.allocate(slices, maxTokens, shape.kvWidth()));
    bytes = rows + sequences.bytes() + panel.bytes() + back.bytes();
  }

  /** Returns room for the outputs of a layer's modules, made when it is first needed. */
  ModuleOutputs outputs() {
    if (outputs.isEmpty()) {
      outputs = Optional.of(ModuleOutputs.allocate(arena, shape, maxTokens));
    }
    return outputs.get();
  }

  /** Returns room for an input with elements left out, and for its gradient. */
  DroppedInput dropped() {
    if (dropped.isEmpty()) {
      int widest = Math.max(Math.max(shape.hidden(), shape.intermediate()), shape.queryWidth());
      dropped =
          Optional.of(
              new DroppedInput(
                  Rows.allocate(arena, maxTokens, widest),
                  Rows.allocate(arena, maxTokens, widest)));
    }
    return dropped.get();
  }

  @Override
  public void close() {
    sequences.close();
    back.close();
    panel.close();
    rope.close();
    arena.close();
  }
}
