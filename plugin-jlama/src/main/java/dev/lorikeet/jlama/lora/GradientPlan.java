package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;

/** Where everything of one call lies, and how it is split over shards. Made once per call. */
final class GradientPlan {
  private final LoraBatch batch;
  private final List<GradientCall.Unit> units;
  private final Tensor x;
  private final List<Tensor> dy;
  private final Optional<Tensor> dx;
  private final Optional<Tensor> weights;
  private final long[] shrunk;
  private final long[] products;
  private final GradientOrder[] orders;
  private final int[] cuts;
  private final long floats;
  private final int widest;
  private long memory;

  GradientPlan(
      LoraBatch batch,
      List<GradientCall.Unit> units,
      Tensor x,
      List<Tensor> dy,
      GradientSums sums,
      Optional<GradientOrder> forced,
      int shards) {
    this.batch = batch;
    this.units = units;
    this.x = x;
    this.dy = dy;
    this.dx = sums.dx();
    this.weights = sums.weights();
    shrunk = new long[units.size()];
    products = new long[units.size()];
    orders = new GradientOrder[units.size()];
    long next = 0;
    int most = 1;
    for (int u = 0; u < shrunk.length; u++) {
      shrunk[u] = next;
      LoraWeights w = units.get(u).weights();
      int entries = entries(u);
      next += 2L * entries(u) * lanes(w.rank());
      orders[u] =
          forced
              .or(() -> Optional.of(GradientOrder.cheapest(w, entries)))
              .filter(order -> order.takes(w))
              .orElse(GradientOrder.RANK);
      products[u] = next;
      if (throughProduct(u)) {
        next += (long) w.b().width() * lanes(w.a().width());
      }
      most = Math.max(most, Math.max(DeltaCall.padded(w.a()), DeltaCall.padded(w.b())));
    }
    // A vector that begins at the last rank of the last row may end beyond.
    floats = next + Lanes.L;
    widest = most;
    cuts = cuts(shards);
  }

  /** Cuts the entries where shrinking them costs every shard the same, to whole groups of four. */
  private int[] cuts(int shards) {
    int[] result = new int[shards + 1];
    double total = cost();
    double before = 0;
    int shard = 1;
    for (int u = 0; u < units.size(); u = nextSegment(u)) {
      int segment = units.get(u).segment();
      int start = batch.segmentStart(segment);
      int entries = batch.segmentEnd(segment) - start;
      double cost = entries * entryCost(u);
      while (shard < shards && before + cost >= total * shard / shards) {
        int step = entries >= 4 * shards ? 4 : 1;
        long part = Math.round((total * shard / shards - before) / cost * entries / step) * step;
        result[shard] = Math.max(result[shard - 1], start + (int) Math.min(part, entries));
        shard++;
      }
      before += cost;
    }
    for (; shard <= shards; shard++) {
      result[shard] = batch.entries();
    }
    return result;
  }

  private int nextSegment(int unit) {
    int next = unit + 1;
    while (next < units.size() && units.get(next).segment() == units.get(unit).segment()) {
      next++;
    }
    return next;
  }

  /** Returns the multiply-adds of one entry of a unit's segment when it is shrunk. */
  private double entryCost(int unit) {
    double cost = 0;
    for (int u = unit; u < nextSegment(unit); u++) {
      LoraWeights w = units.get(u).weights();
      cost += (needsOutputs(u) ? (double) w.rank() * w.b().rowLength() : 0);
      cost += (needsInputs(u) ? (double) w.rank() * w.a().rowLength() : 0);
    }
    return cost;
  }

  /** Returns the multiply-adds of shrinking all entries: of ranks alone, two fifths of the call. */
  double cost() {
    double cost = 0;
    for (int u = 0; u < units.size(); u = nextSegment(u)) {
      cost += entries(u) * entryCost(u);
    }
    return cost;
  }

  private int entries(int unit) {
    int segment = units.get(unit).segment();
    return batch.segmentEnd(segment) - batch.segmentStart(segment);
  }

  private static int lanes(int count) {
    return (count + Lanes.L - 1) / Lanes.L * Lanes.L;
  }

  /** Says where the shrunken values go: {@link #floats} of them. */
  void place(long address) {
    memory = address;
  }

  long floats() {
    return floats;
  }

  /** Returns the floats of the widest row when it is packed. */
  int widest() {
    return widest;
  }

  LoraBatch batch() {
    return batch;
  }

  int units() {
    return units.size();
  }

  GradientCall.Unit unit(int unit) {
    return units.get(unit);
  }

  Tensor x() {
    return x;
  }

  /** Returns the gradient of a unit's output. */
  Tensor dy(int unit) {
    return dy.get(units.get(unit).target());
  }

  Optional<Tensor> dx() {
    return dx;
  }

  Optional<Tensor> weights() {
    return weights;
  }

  /** Returns whether anybody needs B^T dy of a unit. */
  boolean needsOutputs(int unit) {
    return learnsByRank(unit) || dx.isPresent() || weights.isPresent();
  }

  /** Returns whether anybody needs A x of a unit. */
  boolean needsInputs(int unit) {
    return learnsByRank(unit) || weights.isPresent();
  }

  private boolean learnsByRank(int unit) {
    return units.get(unit).learns() && orders[unit] == GradientOrder.RANK;
  }

  /** Returns whether the gradients of a unit's factors go through dy^T x. */
  boolean throughProduct(int unit) {
    return units.get(unit).learns() && orders[unit] == GradientOrder.PRODUCT;
  }

  /** Returns whether any unit's do. */
  boolean anyThroughProduct() {
    return IntStream.range(0, units.size()).anyMatch(this::throughProduct);
  }

  /** Returns the address of dy^T x of a unit, {@code [out, in]}. */
  long product(int unit) {
    return memory + 4 * products[unit];
  }

  /** Returns bytes from one row of dy^T x to the next. */
  long productStride(int unit) {
    return 4L * lanes(units.get(unit).weights().a().width());
  }

  /** Returns bytes from one entry's shrunken values to the next one's. */
  long stride(int unit) {
    return 4L * lanes(units.get(unit).weights().rank());
  }

  /** Returns the address of B^T dy of an entry of a unit. */
  long outputs(int unit, int entry) {
    return memory + 4 * shrunk[unit] + row(unit, entry) * stride(unit);
  }

  /** Returns the address of A x of an entry of a unit. */
  long inputs(int unit, int entry) {
    return outputs(unit, entry) + entries(unit) * stride(unit);
  }

  private int row(int unit, int entry) {
    return entry - batch.segmentStart(units.get(unit).segment());
  }

  /** Returns the first entry of a shard when entries are shrunk. */
  int firstEntry(int shard) {
    return cuts[shard];
  }
}
