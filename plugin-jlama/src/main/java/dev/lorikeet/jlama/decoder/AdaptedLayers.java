package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.switching.SwitchPlanner;
import dev.lorikeet.host.switching.SwitchPlanner.Choice;
import dev.lorikeet.host.switching.SwitchStats;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.jlama.weights.LayerWeights;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/**
 * The layers of a model as the adapters of a step change them: with deltas after each product, or
 * merged into a second copy of the weights where all tokens share a mixture for long enough. Used
 * by the decoding thread alone.
 */
final class AdaptedLayers implements AutoCloseable {
  private final List<LayerWeights> pristine;
  private final LoraExecutor executor;
  private final MergedWeights merged;
  private final SwitchPlanner planner;
  private boolean usesMerged;
  private long deltaNanos;

  AdaptedLayers(List<LayerWeights> pristine, LoraExecutor executor, Switching switching) {
    this.pristine = pristine;
    this.executor = executor;
    this.merged = new MergedWeights(pristine, executor);
    Switching mode = MergedWeights.possible(pristine, executor) ? switching : Switching.DELTA;
    this.planner = new SwitchPlanner(mode, mode == Switching.AUTO ? merged.copy() : 0);
  }

  /**
   * Begins a step: chooses between deltas and merged weights, and merges if need be.
   *
   * @param lora the adapters of all layers, unless they differ by layer
   */
  void begin(LoraBatch lora, StepAdapters adapters) {
    usesMerged =
        !adapters.perLayer() && lora.entries() > 0 && choosesMerged(lora, adapters.stepsToCome());
    deltaNanos = 0;
  }

  private boolean choosesMerged(LoraBatch lora, int steps) {
    Choice choice = planner.choose(lora, steps);
    if (choice == Choice.PROBE) {
      long start = System.nanoTime();
      long layerNanos = merged.probe(lora);
      planner.probed(layerNanos, System.nanoTime() - start, pristine.size());
      choice = planner.choose(lora, steps);
    }
    if (choice == Choice.SWITCH) {
      long start = System.nanoTime();
      planner.switching();
      merged.switchTo(lora);
      planner.switched(lora, System.nanoTime() - start);
    }
    return choice == Choice.SWITCH || choice == Choice.MERGED;
  }

  /** Returns the weights of a layer in this step. */
  LayerWeights weights(int layer) {
    return usesMerged ? merged.layer(layer) : pristine.get(layer);
  }

  /** Returns whether adapters are to be added as deltas in this step. */
  boolean addsDeltas(LoraBatch lora) {
    return !usesMerged && lora.entries() > 0;
  }

  /** Adds the deltas of a layer's adapters, unless they are merged. */
  void addDelta(DeltaSite site, int layer, LoraBatch lora) {
    if (!addsDeltas(lora)) {
      return;
    }
    addDelta(site.targets().get(layer), lora, site.x(), site.y());
  }

  /** Adds deltas of modules that are never merged into, whatever is with the others. */
  void addDelta(TargetGroup targets, LoraBatch lora, Tensor x, List<Tensor> y) {
    long start = planner.measures() ? System.nanoTime() : 0;
    executor.addDelta(targets, lora, x, y);
    if (planner.measures()) {
      deltaNanos += System.nanoTime() - start;
    }
  }

  /**
   * Ends a step.
   *
   * @param lora the adapters of its last layer
   * @param perLayer whether other layers used others
   */
  void end(LoraBatch lora, boolean perLayer) {
    if (lora.entries() == 0) {
      return;
    }
    if (usesMerged) {
      planner.usedMerged();
    } else {
      planner.rented(lora, perLayer, deltaNanos);
    }
  }

  /** Returns how steps with adapters were computed. */
  SwitchStats stats() {
    return planner;
  }

  @Override
  public void close() {
    merged.close();
  }
}
