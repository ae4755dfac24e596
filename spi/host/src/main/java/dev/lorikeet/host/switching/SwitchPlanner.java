package dev.lorikeet.host.switching;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.executor.LoraBatch;
import java.util.List;

/**
 * Chooses, for a step whose tokens all share one mixture, between deltas and merged weights. Used
 * by the decoding thread alone; allocates nothing.
 */
public final class SwitchPlanner implements SwitchStats {
  /*
   * Idea: a switch costs one pass over the weights (the price) and saves the deltas of every step for which the mixture
   * then stays (the rent). If it is known for how many steps, the choice is arithmetic: switch when rent * steps
   * exceeds the price by a margin. Sequences with a fixed mixture know how many tokens are still to come, exactly or
   * from how long others were. For routers that choose anew at every token nobody knows: then it is the ski-rental
   * problem, and renting until the rent paid equals the price costs at most twice the best choice made in hindsight. A
   * mixture that outlives the sequences that use it (each too short to pay for a switch) is merged when its rent has
   * reached twice the price.
   *
   * Rent is measured: the time the executor took for the deltas of the last two steps with this mixture, the lower of
   * both. The price is what switches to mixtures of the same size have taken; for a size not met yet one layer is
   * merged into scratch and multiplied by the number of layers, once and only when even copying all weights, the least
   * that a switch can cost, would pay. A batch whose tokens differ neither pays nor forgets; another mixture starts
   * anew, while the merged state stays, and a mixture that is merged already costs nothing.
   */
  private static final int MEASURED_STEPS = 2;

  /**
   * How much more than the price must be saved: not all rent is saved, and after a switch the first
   * steps find the weights in no cache. Where both choices cost nearly the same, deltas are
   * certain.
   */
  private static final double MARGIN = 2;

  private static final int SIZES = 8;

  private final Switching mode;
  private final long copyNanos;
  private final SharedMixture merged = new SharedMixture();
  private final SharedMixture candidate = new SharedMixture();
  private final long[] sizes = new long[SIZES];
  private final long[] prices = new long[SIZES];
  private int knownSizes;
  private int candidateSize;
  private int rentSteps;
  private long rentNanos;
  private long lastRentNanos;
  private long rentPerStep;
  private long deltaSteps;
  private long mergedSteps;
  private long switches;
  private long switchNanos;
  private long allProbesNanos;

  /** What to do with a step. */
  public enum Choice {
    /** Compute deltas. */
    DELTA,
    /** Use the merged weights as they are. */
    MERGED,
    /** Merge one layer into scratch, tell {@link #probed}, and ask again. */
    PROBE,
    /** Merge, tell {@link #switched}, and use the merged weights. */
    SWITCH
  }

  /**
   * Creates a planner.
   *
   * @param copyNanos what copying all weights takes that a switch may change
   */
  public SwitchPlanner(Switching mode, long copyNanos) {
    this.mode = mode;
    this.copyNanos = copyNanos;
  }

  /**
   * Decides for a batch with at least one entry.
   *
   * @param steps for how many steps its tokens will keep their mixture, this one included; 0 if
   *     nobody knows
   */
  public Choice choose(LoraBatch batch, int steps) {
    if (mode == Switching.DELTA || !SharedMixture.isShared(batch)) {
      return Choice.DELTA;
    }
    if (merged.matches(batch)) {
      return Choice.MERGED;
    }
    if (mode == Switching.MERGE) {
      return Choice.SWITCH;
    }
    if (!candidate.matches(batch)) {
      candidate.set(batch);
      candidateSize = size(batch);
      rentSteps = 0;
      rentNanos = 0;
    }
    if (rentSteps < MEASURED_STEPS || !pays(copyNanos, steps)) {
      return Choice.DELTA;
    }
    long price = prices[candidateSize];
    if (price == 0) {
      return Choice.PROBE;
    }
    return pays(price, steps) ? Choice.SWITCH : Choice.DELTA;
  }

  private boolean pays(long price, int steps) {
    return steps > 0
        ? rentPerStep * steps > MARGIN * price || rentNanos >= 2 * price
        : rentNanos >= price;
  }

  /** Returns where the price of mixtures of this size is kept; the oldest size makes room. */
  private int size(LoraBatch batch) {
    long parameters = 0;
    for (int s = 0; s < batch.segments(); s++) {
      List<TargetSpec> targets = batch.adapter(s).spec().targets();
      for (int t = 0; t < targets.size(); t++) {
        parameters += targets.get(t).parameters();
      }
    }
    for (int i = 0; i < Math.min(knownSizes, SIZES); i++) {
      if (sizes[i] == parameters) {
        return i;
      }
    }
    int place = knownSizes++ % SIZES;
    sizes[place] = parameters;
    prices[place] = 0;
    return place;
  }

  /** Returns whether the time of a step's deltas should be measured. */
  public boolean measures() {
    return mode == Switching.AUTO;
  }

  /**
   * Notes a step computed with deltas.
   *
   * @param perLayer whether they differed by layer
   * @param nanos how long they took, if that was measured
   */
  public void rented(LoraBatch batch, boolean perLayer, long nanos) {
    deltaSteps++;
    if (!perLayer && candidate.matches(batch) && SharedMixture.isShared(batch)) {
      rentPerStep = rentSteps == 0 ? nanos : Math.min(lastRentNanos, nanos);
      lastRentNanos = nanos;
      rentNanos += nanos;
      rentSteps++;
    }
  }

  /** Notes a step computed with merged weights. */
  public void usedMerged() {
    mergedSteps++;
  }

  /**
   * Notes a measurement.
   *
   * @param layerNanos what merging one layer took
   * @param nanos what the measurement took
   * @param layers how many layers a switch has
   */
  public void probed(long layerNanos, long nanos, int layers) {
    allProbesNanos += nanos;
    prices[candidateSize] = Math.max(Math.max(1, copyNanos), layerNanos * layers);
  }

  /** Notes that the merged state is no longer what it was; called before a switch begins. */
  public void switching() {
    merged.clear();
  }

  /** Notes that the merged state is now the mixture of a batch. */
  public void switched(LoraBatch batch, long nanos) {
    merged.set(batch);
    if (mode == Switching.AUTO) {
      long before = prices[candidateSize];
      // One slow switch, or the first, whose code is not compiled, must not rule out all others.
      prices[candidateSize] = Math.clamp(nanos, before / 2, 2 * before);
    }
    candidate.clear();
    switches++;
    switchNanos += nanos;
  }

  @Override
  public long deltaSteps() {
    return deltaSteps;
  }

  @Override
  public long mergedSteps() {
    return mergedSteps;
  }

  @Override
  public long switches() {
    return switches;
  }

  @Override
  public long switchNanos() {
    return switchNanos;
  }

  @Override
  public long probeNanos() {
    return allProbesNanos;
  }
}
