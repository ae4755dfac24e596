package dev.lorikeet.jlama.decoder;

/**
 * How the steps that had adapters were computed so far.
 *
 * @param deltaSteps steps with deltas
 * @param mergedSteps steps with merged weights
 * @param switches changes of the merged state
 * @param switchNanos the time they took
 * @param probeNanos the time spent on measuring what a switch would cost
 */
public record SwitchStats(
    long deltaSteps, long mergedSteps, long switches, long switchNanos, long probeNanos) {}
