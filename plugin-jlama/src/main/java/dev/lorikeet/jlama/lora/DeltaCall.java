package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One call of {@code addDelta}: its units of work, checked, and how they are split over shards. A
 * unit is the pair of a segment and a target module that the segment's adapter changes. Reused;
 * steady use allocates nothing.
 */
final class DeltaCall {
  /** How a call is split. */
  enum Split {
    /** The caller does it all: handing it over would take longer. */
    NONE,
    /** One run: each shard takes a range of entries, through shrink and expand. */
    BY_ENTRIES,
    /** Two runs: shrink split by rows of A, expand by outputs. */
    BY_FEATURES
  }

  /*
   * A shard that reads n tokens' worth of a unit takes bytes * STREAM + elements * n * MULTIPLY. By entries, nothing is
   * shared and one run is enough, but a segment that is cut is read twice, few entries may not divide evenly, and a
   * token that is in several segments must not be cut at all, since two shards would add to one row of y. By features
   * everything divides evenly at the price of a second run. No choice changes a result bit, only the time.
   *
   * The constants are of a 2.7 GHz Xeon with 512-bit vectors; other machines shift the crossings, not the results.
   */
  private static final double STREAM_NANOS = 0.04;
  private static final double MULTIPLY_NANOS = 0.02;
  private static final double RUN_NANOS = 1200;

  private final ArrayList<LoraWeights> units = new ArrayList<>();
  private int[] segment = new int[16];
  private int[] target = new int[16];
  private long[] shrunk = new long[16];
  private int[] firstUnit = new int[9];
  private double[] fixedCost = new double[8];
  private double[] entryCost = new double[8];
  private int[] cuts = new int[2];
  private int[] lastSegment = new int[64];
  private @Nullable LoraBatch known;
  private long knownRevision;
  private boolean disjoint;
  private boolean heap;
  private long shrunkFloats;
  private int widestInput;

  /** Checks the arguments of a call and collects its units; on failure nothing is kept. */
  void prepare(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    LoraArguments.checkActivations(targets, batch, x, y);
    heap = !x.segment().isNative();
    for (int i = 0; i < y.size(); i++) {
      heap |= !y.get(i).segment().isNative();
    }
    units.clear();
    shrunkFloats = 0;
    widestInput = 1;
    int segments = batch.segments();
    if (fixedCost.length < segments) {
      fixedCost = new double[2 * segments];
      entryCost = new double[2 * segments];
      firstUnit = new int[2 * segments + 1];
    }
    for (int s = 0; s < segments; s++) {
      firstUnit[s] = units.size();
      fixedCost[s] = 0;
      entryCost[s] = 0;
      AdapterLease adapter = batch.adapter(s);
      int entries = batch.segmentEnd(s) - batch.segmentStart(s);
      for (int i = 0; i < y.size(); i++) {
        TargetModule module = targets.targets().get(i);
        Optional<LoraWeights> found = adapter.weights(module);
        if (found.isPresent()) {
          LoraWeights weights = found.get();
          if (weights.a().width() != x.columns()
              || weights.b().width() != y.get(i).columns()
              || !weights.a().device().isHost()
              || !weights.b().device().isHost()) {
            LoraArguments.checkWeights(
                adapter.spec().id(), module, weights, x.columns(), y.get(i).columns());
          }
          if (entries > 0) {
            add(weights, s, i, entries);
          }
        }
      }
    }
    firstUnit[segments] = units.size();
  }

  private void add(LoraWeights weights, int s, int i, int entries) {
    int unit = units.size();
    if (unit == segment.length) {
      segment = Arrays.copyOf(segment, 2 * unit);
      target = Arrays.copyOf(target, 2 * unit);
      shrunk = Arrays.copyOf(shrunk, 2 * unit);
    }
    units.add(weights);
    segment[unit] = s;
    target[unit] = i;
    shrunk[unit] = shrunkFloats;
    shrunkFloats += (long) entries * weights.rank();
    heap |= !weights.a().memory().isNative() || !weights.b().memory().isNative();
    widestInput = Math.max(widestInput, padded(weights.a()));
    fixedCost[s] += fixedCost(weights);
    entryCost[s] += entryCost(weights);
  }

  private static double fixedCost(LoraWeights weights) {
    double a = (double) weights.a().rowLength() * weights.a().type().bytes();
    double b = (double) weights.b().rowLength() * weights.b().type().bytes();
    return STREAM_NANOS * weights.rank() * (a + b);
  }

  private static double entryCost(LoraWeights weights) {
    return MULTIPLY_NANOS * weights.rank() * (weights.a().rowLength() + weights.b().rowLength());
  }

  /** Returns what a unit costs for all entries of its segment, in nanoseconds of one thread. */
  double cost(int unit, LoraBatch batch) {
    int s = segment[unit];
    LoraWeights weights = units.get(unit);
    return fixedCost(weights) + entryCost(weights) * (batch.segmentEnd(s) - batch.segmentStart(s));
  }

  /**
   * Chooses how to split the call over {@code shards}.
   *
   * @param forced the choice, if it is not to be the fastest; by entries only where no token is in
   *     two segments
   */
  Split split(LoraBatch batch, int shards, @Nullable Split forced) {
    double total = 0;
    for (int s = 0; s < batch.segments(); s++) {
      total += segmentCost(s, batch.segmentStart(s), batch.segmentEnd(s));
    }
    boolean cuttable = shards > 1 && isDisjoint(batch);
    if (cuttable) {
      cut(batch, shards, total);
    }
    double byEntries = cuttable ? RUN_NANOS + slowest(batch, shards) : Double.POSITIVE_INFINITY;
    double byFeatures = total / shards + 2 * RUN_NANOS;
    Split fastest =
        total <= Math.min(byEntries, byFeatures)
            ? Split.NONE
            : byEntries <= byFeatures ? Split.BY_ENTRIES : Split.BY_FEATURES;
    Split split = forced == null || (forced == Split.BY_ENTRIES && !cuttable) ? fastest : forced;
    if (split == Split.NONE) {
      cuts[0] = 0;
      cuts[1] = batch.entries();
    }
    return split;
  }

  private void cut(LoraBatch batch, int shards, double total) {
    if (cuts.length <= shards) {
      cuts = new int[shards + 1];
    }
    int s = 0;
    double before = 0;
    cuts[0] = 0;
    for (int k = 1; k < shards; k++) {
      double goal = total * k / shards;
      double cost = 0;
      for (; s < batch.segments(); s++) {
        cost = segmentCost(s, batch.segmentStart(s), batch.segmentEnd(s));
        if (before + cost > goal) {
          break;
        }
        before += cost;
      }
      if (s == batch.segments()) {
        cuts[k] = batch.entries();
        continue;
      }
      int entries = batch.segmentEnd(s) - batch.segmentStart(s);
      int step = entries >= 4 * shards ? 4 : 1;
      int part = (int) Math.round((goal - before) / cost * entries / step) * step;
      cuts[k] = Math.max(cuts[k - 1], batch.segmentStart(s) + Math.min(part, entries));
    }
    cuts[shards] = batch.entries();
  }

  private double slowest(LoraBatch batch, int shards) {
    double slowest = 0;
    for (int k = 0; k < shards; k++) {
      double cost = 0;
      for (int s = 0; s < batch.segments(); s++) {
        int from = Math.max(cuts[k], batch.segmentStart(s));
        cost += segmentCost(s, from, Math.min(cuts[k + 1], batch.segmentEnd(s)));
      }
      slowest = Math.max(slowest, cost);
    }
    return slowest;
  }

  private double segmentCost(int s, int from, int to) {
    return from >= to ? 0 : fixedCost[s] + entryCost[s] * (to - from);
  }

  /** Returns whether no token is in two segments; found once per batch. */
  private boolean isDisjoint(LoraBatch batch) {
    if (known != batch || knownRevision != batch.revision()) {
      disjoint = findDisjoint(batch);
      known = batch;
      knownRevision = batch.revision();
    }
    return disjoint;
  }

  private boolean findDisjoint(LoraBatch batch) {
    if (lastSegment.length < batch.tokens()) {
      lastSegment = new int[2 * batch.tokens()];
    }
    Arrays.fill(lastSegment, 0, batch.tokens(), -1);
    for (int s = 0; s < batch.segments(); s++) {
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        if (lastSegment[batch.token(e)] >= 0) {
          return false;
        }
        lastSegment[batch.token(e)] = s;
      }
    }
    return true;
  }

  /** Forgets the adapters of the call. */
  void clear() {
    units.clear();
  }

  /** Returns whether some memory of the call is on the heap, where kernels can't reach. */
  boolean touchesHeap() {
    return heap;
  }

  /** Returns the number of units, ordered by segment, then by target. */
  int units() {
    return units.size();
  }

  /** Returns a unit's factors. */
  LoraWeights weights(int unit) {
    return units.get(unit);
  }

  /** Returns a unit's segment. */
  int segment(int unit) {
    return segment[unit];
  }

  /** Returns a unit's target module, by its number in the group. */
  int target(int unit) {
    return target[unit];
  }

  /** Returns the first unit of a segment; that of the next segment ends it. */
  int firstUnit(int segment) {
    return firstUnit[segment];
  }

  /** Returns where a unit's shrunk values begin, in floats: a row of its rank for each entry. */
  long shrunk(int unit) {
    return shrunk[unit];
  }

  /** Returns the floats of all units' shrunk values. */
  long shrunkFloats() {
    return shrunkFloats;
  }

  /** Returns the floats of the widest packed input. */
  int widestInput() {
    return widestInput;
  }

  /** Returns the first entry of a shard when the call is not split by features. */
  int firstEntry(int shard) {
    return cuts[shard];
  }

  /** Returns the floats of a row that is as wide as a factor, packed for it. */
  static int padded(LoraFactor factor) {
    return factor.blocks() * Lanes.blocks(factor.rowLength()) * Lanes.BLOCK;
  }
}
