package dev.lorikeet.host.switching;

/** How the steps that had adapters were computed so far; for the decoding thread. */
public interface SwitchStats {
  /** Returns how many steps were computed with deltas. */
  long deltaSteps();

  /** Returns how many steps were computed with merged weights. */
  long mergedSteps();

  /** Returns how often the merged state changed. */
  long switches();

  /** Returns how long that took in all. */
  long switchNanos();

  /** Returns how long it took to measure what a switch would cost. */
  long probeNanos();
}
