package dev.lorikeet.host.switching;

/** How the decoder applies a mixture that all tokens of a step share. */
public enum Switching {
  /** Always as deltas: results do not depend on the batch, bit for bit. */
  DELTA,
  /** As deltas until merging has become the cheaper choice. */
  AUTO,
  /** Merged into a copy of the weights at once, whatever that costs. */
  MERGE
}
