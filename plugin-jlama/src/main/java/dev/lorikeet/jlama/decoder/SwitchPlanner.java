package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.LoraBatch;

/**
 * Chooses, for a step whose tokens all share one mixture, between deltas and merged weights. Used
 * by the decoding thread alone; allocates nothing.
 */
final class SwitchPlanner implements SwitchStats {
  /*
   * Idea: a switch costs one pass over the weights and pays for itself by the deltas it saves, but nobody knows how long a mixture will stay. This is the ski-rental problem: rent
   * (deltas) until the rent paid equals the price (a switch), then buy. Whatever comes, the sum of deltas and switches is then at most twice that of the best choice made in hindsight, and both
   * are small beside the base model: a mixture that changes with every token never pays for a switch, one that stays pays for it once.
   *
   * Rent is measured: the time the executor took for the deltas of steps with this mixture. The price is measured as well, by merging one layer into scratch and multiplying by the number of
   * layers; this happens only after four times as much rent has been paid as the measurements have cost, so they add at most a quarter to the deltas (ten layers or more assumed). A batch whose tokens differ
   * neither pays nor forgets; another mixture starts anew, while the merged state stays, and a mixture that is merged already costs nothing.
   */
  private static final int RENT_PER_PROBE = 4;

  private final Switching mode;
  private final SharedMixture merged = new SharedMixture();
  private final SharedMixture candidate = new SharedMixture();
  private long rentNanos;
  private long probesNanos;
  private long lastProbeNanos;
  private long priceNanos;
  private long deltaSteps;
  private long mergedSteps;
  private long switches;
  private long switchNanos;
  private long allProbesNanos;

  /** What to do with a step. */
  enum Choice {
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
   * @param firstProbeNanos what the first measurement may be expected to take
   */
  SwitchPlanner(Switching mode, long firstProbeNanos) {
    this.mode = mode;
    this.lastProbeNanos = firstProbeNanos;
  }

  /** Decides for a batch with at least one entry. */
  Choice choose(LoraBatch batch) {
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
      rentNanos = 0;
      probesNanos = 0;
      priceNanos = Long.MAX_VALUE;
    }
    if (rentNanos >= priceNanos) {
      return Choice.SWITCH;
    }
    boolean due = rentNanos >= RENT_PER_PROBE * (probesNanos + lastProbeNanos);
    return due ? Choice.PROBE : Choice.DELTA;
  }

  /** Returns whether the time of a step's deltas should be measured. */
  boolean measures() {
    return mode == Switching.AUTO;
  }

  /**
   * Notes a step computed with deltas.
   *
   * @param perLayer whether they differed by layer
   * @param nanos how long they took, if that was measured
   */
  void rented(LoraBatch batch, boolean perLayer, long nanos) {
    deltaSteps++;
    if (!perLayer && candidate.matches(batch) && SharedMixture.isShared(batch)) {
      rentNanos += nanos;
    }
  }

  /** Notes a step computed with merged weights. */
  void usedMerged() {
    mergedSteps++;
  }

  /**
   * Notes a measurement.
   *
   * @param layerNanos what merging one layer took
   * @param nanos what the measurement took
   * @param layers how many layers a switch has
   */
  void probed(long layerNanos, long nanos, int layers) {
    lastProbeNanos = 2 * layerNanos;
    probesNanos += nanos;
    allProbesNanos += nanos;
    priceNanos = layerNanos * layers;
  }

  /** Notes that the merged state is no longer what it was; called before a switch begins. */
  void switching() {
    merged.clear();
  }

  /** Notes that the merged state is now the mixture of a batch. */
  void switched(LoraBatch batch, long nanos) {
    merged.set(batch);
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
