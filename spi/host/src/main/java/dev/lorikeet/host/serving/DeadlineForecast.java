package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.host.serving.Sequence.AdapterState;
import java.time.Duration;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/**
 * Tells which waiting requests cannot meet their deadline any more, so that they are refused rather
 * than computed in vain. Used by the decoding thread alone.
 */
final class DeadlineForecast {
  /*
   * Idea: a lower bound of the time to the last token. It errs on the side of hope: everything is taken at the best
   * rate measured lately and a quarter better, every sequence ahead ends as early as it can (after one token, unless it
   * ignores stops), and every prompt that the prefix cache might hold counts as held.
   *
   * Steps: the batch is a number of slots. The least remaining steps of the running sequences occupy them, those
   * certain to be admitted earlier take the slot that is free first, one after the other, and then this one. Starts of
   * such a list schedule only grow with the lengths of its jobs, so least lengths give a least start. Tokens: prompts
   * are computed in order of admission, so those of all certain to be earlier come before this one's.
   *
   * Cost: O(waiting * batch), at most, per check; new requests are checked when they arrive, the others one per
   * iteration in turn.
   */
  private static final double CAUTION = 0.8;

  private final Limits limits;
  private final AdmissionPolicy policy;
  private final StepRates rates;
  private final int blockTokens;
  private final long[] slots;
  private final Set<Sequence> seen = Collections.newSetFromMap(new IdentityHashMap<>());
  private final Map<Integer, Beginning> beginnings = new HashMap<>();
  private final IdentityHashMap<Sequence, Beginning> beginningOf = new IdentityHashMap<>();
  private int turn;

  /** The first block of some sequences, by its hash; alike once two had it at the same time. */
  private static final class Beginning {
    private final int hash;
    private int sequences;
    private boolean alike;

    Beginning(int hash) {
      this.hash = hash;
    }
  }

  /**
   * Creates a forecast.
   *
   * @param blockTokens the unit in which beginnings are shared; 0 if they are not
   */
  DeadlineForecast(Limits limits, AdmissionPolicy policy, StepRates rates, int blockTokens) {
    this.limits = limits;
    this.policy = policy;
    this.rates = rates;
    this.blockTokens = blockTokens;
    this.slots = new long[limits.batchSequences()];
  }

  /** Notes which sequences may have their beginning computed by another one. */
  void arrived(Sequence sequence) {
    if (blockTokens == 0 || sequence.length() <= blockTokens) {
      return;
    }
    int hash = Arrays.hashCode(Arrays.copyOf(sequence.tokens(), blockTokens));
    Beginning beginning = beginnings.computeIfAbsent(hash, Beginning::new);
    beginning.alike |= beginning.sequences++ > 0;
    beginningOf.put(sequence, beginning);
  }

  /** Forgets a sequence that has ended. */
  void ended(Sequence sequence) {
    seen.remove(sequence);
    Beginning beginning = beginningOf.remove(sequence);
    if (beginning != null && --beginning.sequences == 0) {
      beginnings.remove(beginning.hash);
    }
  }

  private boolean hasAlike(Sequence sequence) {
    Beginning beginning = beginningOf.get(sequence);
    return beginning != null && beginning.alike;
  }

  /**
   * Looks at new requests and at one of the others.
   *
   * @return the place in the queue of one that is certain to be late, or -1
   */
  int hopeless(long now, Admission waiting, List<Sequence> running) {
    if (!rates.known()) {
      return -1;
    }
    turn = waiting.size() == 0 ? 0 : (turn + 1) % waiting.size();
    for (int i = 0; i < waiting.size(); i++) {
      Sequence sequence = waiting.get(i);
      if (sequence.deadlineNanos() == Long.MAX_VALUE
          || sequence.startedNanos() != 0
          || (i != turn && seen.contains(sequence))) {
        continue;
      }
      seen.add(sequence);
      if (CAUTION * leastNanos(i, waiting, running) > sequence.deadlineNanos() - now) {
        return i;
      }
    }
    return -1;
  }

  /** Returns the least time in which a waiting sequence can end. */
  private double leastNanos(int index, Admission waiting, List<Sequence> running) {
    Sequence sequence = waiting.get(index);
    long tokens = leastPrefill(sequence);
    Arrays.fill(slots, 0);
    for (int i = 0; i < running.size(); i++) {
      slots[i] = leastSteps(running.get(i), running.get(i).remaining());
      tokens += running.get(i).remaining() > 1 ? running.get(i).remaining() : 0;
    }
    Arrays.sort(slots);
    for (int i = 0; i < index; i++) {
      Sequence before = waiting.get(i);
      if (before.adapterState() == AdapterState.LEASED && policy.precedes(before, sequence)) {
        int prefill = leastPrefill(before);
        tokens += prefill;
        takeSlot(leastSteps(before, prefill));
      }
    }
    long steps = slots[0] + leastSteps(sequence, leastPrefill(sequence));
    int outputs = sequence.task().leastTokensToCome();
    return Math.max(
        (double) steps * rates.stepNanos(),
        tokens * rates.tokenNanos() + (double) Math.max(0, outputs - 1) * rates.stepNanos());
  }

  /** Occupies the slot that is free first; keeps them in order. */
  private void takeSlot(long steps) {
    long end = slots[0] + steps;
    int at = 0;
    while (at + 1 < slots.length && slots[at + 1] < end) {
      slots[at] = slots[at + 1];
      at++;
    }
    slots[at] = end;
  }

  private long leastSteps(Sequence sequence, int prefill) {
    long chunks = Math.max(1, (prefill + limits.batchTokens() - 1) / limits.batchTokens());
    return chunks + Math.max(0L, sequence.task().leastTokensToCome() - 1L);
  }

  /** Returns how many known tokens of a waiting sequence must be computed at least. */
  private int leastPrefill(Sequence sequence) {
    if (blockTokens == 0 || sequence.task().wantsAllLogits()) {
      return sequence.length();
    }
    int most = (sequence.length() - 1) / blockTokens * blockTokens;
    boolean known = sequence.adapterState() == AdapterState.LEASED && !hasAlike(sequence);
    return sequence.length() - (known ? sequence.cachedTokens() : most);
  }

  /** Returns the refusal of a request. */
  LorikeetException refusal(Sequence sequence) {
    return new LorikeetException(
        Code.DEADLINE_EXCEEDED,
        String.format(
            Locale.ROOT,
            "the request cannot meet its timeout of %s with what is ahead of it: at best, %.0f prompt tokens"
                + " and %.1f steps per second were measured",
            Duration.ofNanos(sequence.deadlineNanos() - sequence.submittedNanos()),
            1e9 / rates.tokenNanos(),
            1e9 / rates.stepNanos()));
  }
}
