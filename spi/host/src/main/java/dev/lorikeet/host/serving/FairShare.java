package dev.lorikeet.host.serving;

import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Equal shares for tenants by virtual token counters. Served tokens count {@value #INPUT_WEIGHT}
 * per prompt token and {@value #OUTPUT_WEIGHT} per generated token; the next sequence to be
 * admitted is one of the tenant that was served least.
 *
 * <p>Bound (the paper's for two backlogged clients): over any time in which two tenants i and j
 * both have requests waiting whose adapters are in memory, what they are served differs by at most
 *
 * <pre>|W_i - W_j| &lt;= 2 max(w_p L_input, w_q M)</pre>
 *
 * where L_input is the longest prompt and M the most tokens, prompts and outputs in full, of the
 * sequences that one batch can hold (in the paper, where pages for full lengths are reserved, that
 * is the capacity of the KV cache). A prompt counts when its sequence is admitted. It holds however
 * many requests a tenant sends, of whatever size and priority. A tenant that has no request waiting
 * gains no credit.
 *
 * <p>Priorities order the requests of one tenant and say nothing between tenants, for otherwise any
 * tenant could take any share.
 */
final class FairShare implements AdmissionPolicy {
  /*
   * Idea: the virtual token counter (VTC) of Sheng et al., "Fairness in Serving Large Language Models" (arXiv
   * 2401.00588), algorithm 2.
   *
   * Counters: a prompt is charged when a sequence is first admitted, apart from what the prefix cache had of it, a
   * generated token when it was generated. What preemption makes us compute anew is not charged: the tenant did not ask
   * for it. What was charged to a request that is cancelled stays charged. A tenant whose first request joins the queue
   * is lifted to the least counter in the queue, or, when the queue is empty, to that of the tenant that left it last,
   * so that nobody saves up credit while idle.
   *
   * Why the bound holds: a sequence of i is admitted only when c_i <= c_j, which charges one prompt; until the next
   * admission of i only sequences in the batch add to c_i. Both together are at most w_q M, as w_q >= w_p, so c_i - c_j
   * <= max(w_p L_input, w_q M) at all times, and likewise the other way round; W is a difference of two counters over
   * time. Preempted sequences are admitted anew under the same rule.
   *
   * When pages run out, the tenant that was served most gives way: its sequence of lowest priority, the latest among
   * those. Every preemption follows on a new token of the sequence that needed the page, so there are finitely many,
   * whatever the counters do.
   *
   * Cost: one scan of the queue per admission, one map look-up per sequence and step. A tenant without requests whose
   * counter the lift would raise anyway is forgotten in time.
   */
  static final int INPUT_WEIGHT = 1;
  static final int OUTPUT_WEIGHT = 2;
  private static final int MIN_ACCOUNTS_TO_PRUNE = 1024;

  /** What a tenant was served, and how many of its sequences wait. */
  private static final class Account {
    private final long serial;
    private long counter;
    private int waiting;

    Account(long serial, long counter) {
      this.serial = serial;
      this.counter = counter;
    }
  }

  /** What was charged for a sequence that was admitted, beside its prompt. */
  private static final class Charge {
    private int outputs;
  }

  private final IdentityHashMap<Sequence, Charge> charges = new IdentityHashMap<>();
  private final Map<String, Account> accounts = new HashMap<>();
  private Account lastToLeave = new Account(0, 0);
  private long serials;
  private long forgotten;
  private int waiting;
  private int pruneAt = MIN_ACCOUNTS_TO_PRUNE;

  @Override
  public int next(List<Sequence> waiting, List<Sequence> running, Set<Sequence> tried) {
    int best = -1;
    for (int i = 0; i < waiting.size(); i++) {
      Sequence sequence = waiting.get(i);
      if (!tried.contains(sequence) && (best < 0 || compare(sequence, waiting.get(best)) < 0)) {
        best = i;
      }
    }
    return best;
  }

  /** Orders by what the tenant was served, then within the tenant. */
  private int compare(Sequence one, Sequence other) {
    Account a = account(one);
    Account b = account(other);
    if (a == b) {
      return ARRIVAL.compare(one, other);
    }
    return a.counter != b.counter
        ? Long.compare(a.counter, b.counter)
        : Long.compare(a.serial, b.serial);
  }

  @Override
  public boolean precedes(Sequence first, Sequence second) {
    return account(first) == account(second) && ARRIVAL.compare(first, second) < 0;
  }

  @Override
  public Sequence victim(List<Sequence> running) {
    Sequence victim = running.getFirst();
    for (int i = 1; i < running.size(); i++) {
      if (compare(running.get(i), victim) > 0) {
        victim = running.get(i);
      }
    }
    return victim;
  }

  @Override
  public void enqueued(Sequence sequence) {
    Account account = account(sequence);
    if (account.waiting++ == 0) {
      account.counter = Math.max(account.counter, floor(account));
    }
    waiting++;
  }

  /** Returns the least counter of the other tenants that wait. */
  private long floor(Account except) {
    if (waiting == 0) {
      return lastToLeave.counter;
    }
    long least = Long.MAX_VALUE;
    for (Account account : accounts.values()) {
      if (account != except && account.waiting > 0) {
        least = Math.min(least, account.counter);
      }
    }
    return least;
  }

  @Override
  public void dequeued(Sequence sequence) {
    Account account = account(sequence);
    waiting--;
    if (--account.waiting == 0) {
      lastToLeave = account;
      prune();
    }
  }

  @Override
  public void admitted(Sequence sequence, List<Sequence> stillWaiting) {
    if (charges.putIfAbsent(sequence, new Charge()) == null) {
      account(sequence).counter +=
          (long) INPUT_WEIGHT * Math.max(0, sequence.promptLength() - sequence.computed());
    }
  }

  @Override
  public void served(List<Sequence> sequences) {
    for (int i = 0; i < sequences.size(); i++) {
      Sequence sequence = sequences.get(i);
      int generated = sequence.length() - sequence.promptLength();
      Charge charge = charges.get(sequence);
      if (charge != null && generated > charge.outputs) {
        account(sequence).counter += (long) OUTPUT_WEIGHT * (generated - charge.outputs);
        charge.outputs = generated;
      }
    }
  }

  @Override
  public void ended(Sequence sequence) {
    charges.remove(sequence);
  }

  /** Returns what a tenant was served, lifts included. */
  long counter(String tenant) {
    Account account = accounts.get(tenant);
    return account == null ? forgotten : account.counter;
  }

  private Account account(Sequence sequence) {
    Account account = accounts.get(sequence.tenant());
    if (account == null) {
      account = new Account(++serials, forgotten);
      accounts.put(sequence.tenant(), account);
    }
    return account;
  }

  /** Forgets tenants that a lift would bring to where they are, now and then. */
  private void prune() {
    if (accounts.size() >= pruneAt) {
      long floor = floor(lastToLeave);
      accounts.values().removeIf(a -> a.waiting == 0 && a.counter <= floor && a != lastToLeave);
      forgotten = Math.max(forgotten, floor);
      pruneAt = Math.max(MIN_ACCOUNTS_TO_PRUNE, 2 * accounts.size());
    }
  }
}
