package dev.lorikeet.model;

import java.lang.foreign.MemorySegment;

/** Sees the logits from which each token is drawn. */
@FunctionalInterface
public interface LogitsObserver {
  /**
   * Called on the decoding thread, before sampling; must be quick.
   *
   * @param index the number of the token about to be drawn, from 0
   * @param logits {@code [vocabulary]} F32, read-only, valid during the call
   */
  void onLogits(int index, MemorySegment logits);
}
