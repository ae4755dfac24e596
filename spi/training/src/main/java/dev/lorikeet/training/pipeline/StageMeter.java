package dev.lorikeet.training.pipeline;

import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;

/**
 * What a stage did since it was asked the last time, in seconds.
 *
 * @param wall the time since then
 * @param waited in which it had nothing to do
 * @param forward in which it went forward
 * @param backward in which it went back
 * @param step in which it changed weights
 * @param forwards how many micro-batches went forward
 * @param backwards how many went back
 * @param steps how many steps of tasks it made
 */
public record StageMeter(
    double wall,
    double waited,
    double forward,
    double backward,
    double step,
    int forwards,
    int backwards,
    int steps) {
  /** Returns which share of the time it had nothing to do. */
  public double idle() {
    return waited / wall;
  }

  /** Returns how long it takes for one of each. */
  public PipelineSimulator.StageTimes times() {
    return new PipelineSimulator.StageTimes(
        forward / Math.max(1, forwards),
        backward / Math.max(1, backwards),
        step / Math.max(1, steps));
  }

  Packer pack() {
    return new Packer()
        .put(wall)
        .put(waited)
        .put(forward)
        .put(backward)
        .put(step)
        .put(forwards)
        .put(backwards)
        .put(steps);
  }

  static StageMeter unpack(Unpacker from) {
    return new StageMeter(
        from.getDouble(),
        from.getDouble(),
        from.getDouble(),
        from.getDouble(),
        from.getDouble(),
        from.getInt(),
        from.getInt(),
        from.getInt());
  }
}
