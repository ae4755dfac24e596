package dev.lorikeet.host.serving;

import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;

/**
 * Prefers waiting sequences whose adapters the batch uses already, then those whose adapters are
 * leased, so that fewer weights are read per step and fewer adapters are loaded. A sequence that
 * was passed over {@code bound} times is admitted before any that came later.
 */
final class AdapterClustered implements AdmissionPolicy {
  /*
   * Idea: adapter clustering, S-LoRA (arXiv 2311.03285), section 4.3, with a bound on what it may cost others. Among
   * sequences of the highest waiting priority, the earliest whose adapters are all in the batch comes first (the base
   * model alone is always in the batch), then the earliest whose adapters are leased, then the earliest of all.
   *
   * Bound: a sequence counts how often one that arrived later, of its own priority or a lower one, was admitted before
   * it. The earliest of those whose count has reached the bound is next; that need not be the earliest of all, since
   * one that was preempted stands before it with a count of its own. So clustering delays a sequence by at most `bound`
   * admissions beyond those that first come, first served, would put before it. Time that it spends loading its own
   * adapter does not count against others.
   *
   * Cost: a scan of the queue per admission.
   */
  private final int bound;
  private final Set<String> inBatch = new HashSet<>();

  /** How often a sequence was passed over; those that never were are absent. */
  private final IdentityHashMap<Sequence, Integer> passedOver = new IdentityHashMap<>();

  AdapterClustered(int bound) {
    this.bound = bound;
  }

  @Override
  public int next(List<Sequence> waiting, List<Sequence> running, Set<Sequence> tried) {
    int first = AdmissionPolicy.firstArrived(waiting, tried);
    if (first < 0) {
      return first;
    }
    int priority = waiting.get(first).priority();
    for (int i = first; i < waiting.size() && waiting.get(i).priority() == priority; i++) {
      if (passedOver(waiting.get(i)) >= bound && !tried.contains(waiting.get(i))) {
        return i;
      }
    }
    inBatch.clear();
    for (int i = 0; i < running.size(); i++) {
      inBatch.addAll(running.get(i).adapters());
    }
    int best = first;
    int bestDistance = distance(waiting.get(first));
    for (int i = first + 1; i < waiting.size() && bestDistance > 0; i++) {
      Sequence sequence = waiting.get(i);
      if (!tried.contains(sequence) && sequence.priority() == priority) {
        int distance = distance(sequence);
        if (distance < bestDistance) {
          best = i;
          bestDistance = distance;
        }
      }
    }
    return best;
  }

  private int passedOver(Sequence sequence) {
    return passedOver.getOrDefault(sequence, 0);
  }

  private int distance(Sequence sequence) {
    if (inBatch.containsAll(sequence.adapters())) {
      return 0;
    }
    return sequence.adapterState() == Sequence.AdapterState.LEASED ? 1 : 2;
  }

  @Override
  public boolean precedes(Sequence first, Sequence second) {
    return first.priority() > second.priority();
  }

  @Override
  public void admitted(Sequence sequence, List<Sequence> waiting) {
    for (int i = 0; i < waiting.size() && ARRIVAL.compare(waiting.get(i), sequence) < 0; i++) {
      passedOver.merge(waiting.get(i), 1, Integer::sum);
    }
  }

  @Override
  public void ended(Sequence sequence) {
    passedOver.remove(sequence);
  }
}
