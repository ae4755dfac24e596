package dev.lorikeet.host.serving;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.LoraBatch;
import java.util.Arrays;

/**
 * Collects (adapter, token, weight) entries in the order of tokens and hands them to a {@link
 * LoraBatch} grouped by adapter. Not thread-safe; steady use allocates nothing.
 */
final class EntryTable {
  /*
   * Adapters of one generation share a slot whatever lease they come from, so that sequences with the same adapter make
   * one segment. Slots are kept in the order of generations, so that the deltas of a mixture are added in one order
   * whatever else is in the batch. They are few (at most the adapters in use by the batch) and are looked up once per
   * sequence, so a linear search will do. Grouping is a radix sort of two digits, the token and then the slot's rank,
   * because sequences that share a router are asked together and so out of order.
   */
  private AdapterLease[] leases = new AdapterLease[16];
  private int slots;
  private int[] bySlotRank = new int[16];
  private int[] rankOf = new int[16];
  private int[] slotOf = new int[64];
  private int[] tokens = new int[64];
  private float[] weights = new float[64];
  private int entries;
  private int[] starts = new int[65];
  private int[] byToken = new int[64];
  private int[] bySlot = new int[64];
  private int[] ranks = new int[64];

  void clear() {
    Arrays.fill(leases, 0, slots, null);
    slots = 0;
    entries = 0;
  }

  /** Returns the slot of a lease's adapter. */
  int slot(AdapterLease lease) {
    long generation = lease.spec().generation();
    for (int i = 0; i < slots; i++) {
      if (leases[i].spec().generation() == generation) {
        return i;
      }
    }
    if (slots == leases.length) {
      leases = Arrays.copyOf(leases, 2 * slots);
      bySlotRank = new int[2 * slots];
      rankOf = new int[2 * slots];
    }
    leases[slots] = lease;
    return slots++;
  }

  /** Adds an entry; a token has at most one entry per slot. */
  void add(int slot, int token, float weight) {
    if (entries == tokens.length) {
      slotOf = Arrays.copyOf(slotOf, 2 * entries);
      tokens = Arrays.copyOf(tokens, 2 * entries);
      weights = Arrays.copyOf(weights, 2 * entries);
      byToken = new int[2 * entries];
      bySlot = new int[2 * entries];
      ranks = new int[2 * entries];
    }
    slotOf[entries] = slot;
    tokens[entries] = token;
    weights[entries++] = weight;
  }

  int size() {
    return entries;
  }

  /** Forgets the entries after the first {@code size}. */
  void truncate(int size) {
    entries = size;
  }

  /** Fills a batch with one segment per adapter that has entries. */
  void fill(LoraBatch batch, int batchTokens) {
    batch.reset(batchTokens);
    if (starts.length <= Math.max(batchTokens, slots)) {
      starts = new int[Math.max(batchTokens, slots) + 1];
    }
    for (int i = 0; i < entries; i++) {
      bySlot[i] = i;
    }
    rankSlots();
    for (int i = 0; i < entries; i++) {
      ranks[i] = rankOf[slotOf[i]];
    }
    sort(bySlot, byToken, tokens, batchTokens);
    sort(byToken, bySlot, ranks, slots);
    int previous = -1;
    for (int i = 0; i < entries; i++) {
      int entry = bySlot[i];
      if (ranks[entry] != previous) {
        previous = ranks[entry];
        batch.beginSegment(leases[slotOf[entry]]);
      }
      batch.add(tokens[entry], weights[entry]);
    }
  }

  private void rankSlots() {
    for (int s = 0; s < slots; s++) {
      int at = s;
      long generation = leases[s].spec().generation();
      while (at > 0 && leases[bySlotRank[at - 1]].spec().generation() > generation) {
        bySlotRank[at] = bySlotRank[at - 1];
        at--;
      }
      bySlotRank[at] = s;
    }
    for (int r = 0; r < slots; r++) {
      rankOf[bySlotRank[r]] = r;
    }
  }

  /** Writes the entries of {@code from} to {@code to} in the order of their digit; stable. */
  private void sort(int[] from, int[] to, int[] digits, int radix) {
    Arrays.fill(starts, 0, radix + 1, 0);
    for (int i = 0; i < entries; i++) {
      starts[digits[i] + 1]++;
    }
    for (int d = 0; d < radix; d++) {
      starts[d + 1] += starts[d];
    }
    for (int i = 0; i < entries; i++) {
      to[starts[digits[from[i]]]++] = from[i];
    }
  }
}
