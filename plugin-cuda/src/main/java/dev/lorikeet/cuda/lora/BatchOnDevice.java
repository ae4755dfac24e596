package dev.lorikeet.cuda.lora;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.memory.AdapterCache;
import dev.lorikeet.cuda.memory.Buffers;
import dev.lorikeet.cuda.memory.ResidentAdapter;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The batch at hand as kernels see it: its adapters placed on the device, its tile plan written
 * there. Done once per revision of a batch; the layers of a step then find everything in place.
 */
final class BatchOnDevice implements AutoCloseable {
  private final CudaStream stream;
  private final AdapterCache cache;
  private final TilePlan tilePlan = new TilePlan();
  private final Buffers.Pinned pinned;
  private final Buffers.OnDevice buffer;
  private final CudaEvent copied = CudaEvent.forOrder();
  private @Nullable ResidentAdapter[] adapters = new ResidentAdapter[8];
  private int[] slots = new int[8];
  private boolean[] takesMatrix = new boolean[8];
  private boolean complete;

  // What the placed adapters, and then the tile plan, belong to.
  private @Nullable LoraBatch batch;
  private long revision;
  private long evictions;
  private boolean planned;
  private ElementType plannedType = ElementType.F32;
  private boolean plannedAligned;

  private long now;
  private long tiles;
  private long runs;
  private long rows;
  private long weights;

  BatchOnDevice(CudaStream stream, AdapterCache cache) {
    this.stream = stream;
    this.cache = cache;
    pinned = new Buffers.Pinned(stream);
    buffer = new Buffers.OnDevice(stream);
  }

  /** Advances the clock by which adapters count as used, and returns it. */
  long tick() {
    batch = null;
    return ++now;
  }

  long now() {
    return now;
  }

  /** Makes sure that every adapter of the batch has its place on the device. */
  void place(LoraBatch next) {
    if (next.equals(batch) && next.revision() == revision && cache.evictions() == evictions) {
      return;
    }
    stream.expectNoCapture("the first call with a batch");
    tick();
    planned = false;
    complete = false;
    int segments = next.segments();
    if (slots.length < segments) {
      adapters = new ResidentAdapter[2 * segments];
      slots = new int[2 * segments];
      takesMatrix = new boolean[2 * segments];
    }
    Arrays.fill(adapters, null);
    // All that are there are marked as used before room is made for the others.
    for (int s = 0; s < segments; s++) {
      adapters[s] = cache.find(next.adapter(s), now);
    }
    for (int s = 0; s < segments; s++) {
      AdapterLease lease = next.adapter(s);
      ResidentAdapter found = adapters[s] == null ? cache.find(lease, now) : adapters[s];
      ResidentAdapter adapter = found == null ? cache.admit(lease, now) : found;
      adapters[s] = adapter;
      slots[s] = adapter.slot();
    }
    batch = next;
    revision = next.revision();
    evictions = cache.evictions();
  }

  ResidentAdapter adapter(int segment) {
    return Objects.requireNonNull(adapters[segment]);
  }

  /** Returns whether all weights of the batch's adapters have been sent. */
  boolean isComplete() {
    if (!complete) {
      complete = true;
      for (int s = 0; s < Objects.requireNonNull(batch).segments(); s++) {
        complete &= adapter(s).isComplete();
      }
    }
    return complete;
  }

  /** Makes the tile plan and sends it, unless the one that is there serves. */
  void plan(LoraBatch current, Tensor x, List<Tensor> y) {
    ElementType type = x.type();
    // The tensor cores take x in whole vectors of eight.
    boolean aligned = Shapes.isAligned(x) && x.columns() % 8 == 0;
    for (int i = 0; i < y.size(); i++) {
      aligned &= Shapes.isAligned(y.get(i));
    }
    if (planned && plannedType == type && plannedAligned == aligned) {
      return;
    }
    stream.expectNoCapture("the first call of this element type and alignment with a batch");
    boolean matrix = aligned && type != ElementType.F32;
    for (int s = 0; s < current.segments(); s++) {
      takesMatrix[s] = matrix && adapter(s).isDense(type);
    }
    tilePlan.build(current, slots, takesMatrix);
    send();
    planned = true;
    plannedType = type;
    plannedAligned = aligned;
  }

  private void send() {
    long tileBytes = 4L * Layouts.TILE_INTS * tilePlan.tileCount();
    long runBytes = 4L * Layouts.RUN_INTS * tilePlan.runCount();
    long rowBytes = Buffers.align(4L * tilePlan.rowCount(), 16);
    long weightBytes = 4L * tilePlan.entryCount();
    long bytes = tileBytes + runBytes + rowBytes + weightBytes;
    copied.synchronize();
    MemorySegment host = pinned.reserve(bytes);
    copy(tilePlan.tiles(), host, 0, Layouts.TILE_INTS * tilePlan.tileCount());
    copy(tilePlan.runs(), host, tileBytes, Layouts.RUN_INTS * tilePlan.runCount());
    copy(tilePlan.rows(), host, tileBytes + runBytes, tilePlan.rowCount());
    MemorySegment.copy(
        tilePlan.weights(),
        0,
        host,
        ValueLayout.JAVA_FLOAT_UNALIGNED,
        tileBytes + runBytes + rowBytes,
        tilePlan.entryCount());
    tiles = buffer.reserve(bytes);
    runs = tiles + tileBytes;
    rows = runs + runBytes;
    weights = rows + rowBytes;
    stream.copyToDevice(tiles, host, bytes);
    copied.record(stream);
  }

  private static void copy(int[] from, MemorySegment to, long offset, int count) {
    MemorySegment.copy(from, 0, to, ValueLayout.JAVA_INT_UNALIGNED, offset, count);
  }

  TilePlan tilePlan() {
    return tilePlan;
  }

  AdapterCache cache() {
    return cache;
  }

  long tiles() {
    return tiles;
  }

  long runs() {
    return runs;
  }

  long rows() {
    return rows;
  }

  long weights() {
    return weights;
  }

  @Override
  public void close() {
    pinned.close();
    buffer.close();
    copied.close();
  }
}
