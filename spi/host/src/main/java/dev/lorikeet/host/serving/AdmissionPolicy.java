package dev.lorikeet.host.serving;

import java.util.Comparator;
import java.util.List;
import java.util.Set;

/**
 * The order in which waiting sequences are admitted, and the one in which running sequences give
 * way when pages run out. Used by the decoding thread alone.
 */
sealed interface AdmissionPolicy permits FirstCome, AdapterClustered, FairShare {
  /** Higher priority first, then the order of arrival. */
  Comparator<Sequence> ARRIVAL =
      Comparator.comparingInt(Sequence::priority).reversed().thenComparingLong(Sequence::arrival);

  /**
   * Returns the place in {@code waiting}, which is in order of {@link #ARRIVAL}, of the sequence to
   * try next, or -1 if all were tried.
   *
   * @param tried those that this round of admission has tried
   */
  int next(List<Sequence> waiting, List<Sequence> running, Set<Sequence> tried);

  /**
   * Returns whether {@code first} is certain to be admitted before {@code second}, both waiting
   * with their weights at hand, as long as neither ends.
   */
  boolean precedes(Sequence first, Sequence second);

  /** Returns the running sequence that gives its pages back first. */
  default Sequence victim(List<Sequence> running) {
    Sequence victim = running.getFirst();
    for (int i = 1; i < running.size(); i++) {
      if (ARRIVAL.compare(running.get(i), victim) > 0) {
        victim = running.get(i);
      }
    }
    return victim;
  }

  /** A sequence has come to the queue: a new one, or one that was preempted. */
  default void enqueued(Sequence sequence) {}

  /** A sequence has left the queue, admitted or ended. */
  default void dequeued(Sequence sequence) {}

  /** A sequence, no longer among {@code waiting}, was admitted. */
  default void admitted(Sequence sequence, List<Sequence> waiting) {}

  /** A step has been computed, in which these sequences may have generated tokens. */
  default void served(List<Sequence> sequences) {}

  /** A sequence has ended; nothing more is heard of it. */
  default void ended(Sequence sequence) {}

  /** Returns the place of the first not yet tried in this round, or -1. */
  static int firstArrived(List<Sequence> waiting, Set<Sequence> tried) {
    for (int i = 0; i < waiting.size(); i++) {
      if (!tried.contains(waiting.get(i))) {
        return i;
      }
    }
    return -1;
  }
}
