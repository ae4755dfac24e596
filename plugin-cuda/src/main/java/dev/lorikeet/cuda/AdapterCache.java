package dev.lorikeet.cuda;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.cuda.AdapterLayout.Place;
import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.shape.TargetModule;
import java.util.HashMap;
import java.util.Map;

/**
 * Which adapters are on the device.
 *
 * <p>Idea: a generation of an adapter gets its pages when a lease on it is first used, and keeps
 * them until others need the room: least recently used first, never one of the batch at hand.
 * Weights follow module by module, on a stream of their own: a batch waits for the modules that it
 * is about to use alone, while those of later layers travel under its computation. Pages that
 * change hands are written only after the work that reads them has ended. Not thread-safe.
 */
final class AdapterCache implements AutoCloseable {
  private static final int STAGING_PAGES = 32;

  private final CudaStream compute;
  private final CudaStream copies = CudaStream.independent();
  private final CudaEvent sentEvent = CudaEvent.forOrder();
  private final CudaEvent readEvent = CudaEvent.forOrder();
  private final DevicePagePool pool;
  private final Directory directory;
  private final PageWriter writer;
  private final Map<Long, ResidentAdapter> residents = new HashMap<>();
  private long evictions;
  private boolean sending;

  AdapterCache(CudaStream compute, DevicePagePool pool) {
    this.compute = compute;
    this.pool = pool;
    directory = new Directory(copies);
    writer = new PageWriter(copies, pool.pageBytes(), STAGING_PAGES);
  }

  Directory directory() {
    return directory;
  }

  DevicePagePool pool() {
    return pool;
  }

  /** Returns how many adapters are on the device. */
  int size() {
    return residents.size();
  }

  /** Returns how many adapters were evicted; who holds adapters from before must ask again. */
  long evictions() {
    return evictions;
  }

  /** Returns the adapter if it is on the device, marked as used at {@code now}; null if not. */
  @org.jspecify.annotations.Nullable ResidentAdapter find(AdapterLease lease, long now) {
    ResidentAdapter found = residents.get(lease.spec().generation());
    if (found != null) {
      found.used(now, 0);
    }
    return found;
  }

  /**
   * Gives an adapter pages, evicting others that were last used before {@code now}.
   *
   * @throws LorikeetException with {@code TOO_LARGE} or {@code POOL_EXHAUSTED}
   */
  ResidentAdapter admit(AdapterLease lease, long now) {
    AdapterLayout layout = AdapterLayout.of(lease, pool.pageBytes());
    if (layout.pages() > pool.pages()) {
      throw new LorikeetException(
          Code.TOO_LARGE,
          "adapter '"
              + lease.spec().id()
              + "' needs "
              + layout.pages()
              + " device pages, the pool has "
              + pool.pages()
              + " (option memory-mib)");
    }
    int[] pages = new int[layout.pages()];
    while (!pool.allocate(pages)) {
      if (!evictOne(now)) {
        throw new LorikeetException(
            Code.POOL_EXHAUSTED,
            "adapter '"
                + lease.spec().id()
                + "' needs "
                + pages.length
                + " device pages, "
                + pool.freePages()
                + " are free and the others are used by this batch (option memory-mib)");
      }
    }
    int slot = directory.takeSlot();
    ResidentAdapter adapter =
        new ResidentAdapter(lease.spec().generation(), layout, pages, slot, pool);
    adapter.used(now, 0);
    residents.put(adapter.generation(), adapter);
    if (directory.holds(slot, layout.modules())) {
      directory.write(adapter);
      sending = true;
    } else {
      growDirectory(slot, layout.modules());
    }
    return adapter;
  }

  /** Makes sure that the directory has records for so many modules. */
  void reserveModules(int modules) {
    if (!directory.holds(0, modules)) {
      growDirectory(0, modules);
    }
  }

  private void growDirectory(int slot, int modules) {
    compute.synchronize();
    copies.synchronize();
    directory.grow(slot, modules, residents.values());
    sending = true;
  }

  private boolean evictOne(long now) {
    ResidentAdapter oldest = null;
    for (ResidentAdapter adapter : residents.values()) {
      if (adapter.lastUse() < now && (oldest == null || adapter.lastUse() < oldest.lastUse())) {
        oldest = adapter;
      }
    }
    if (oldest == null) {
      return false;
    }
    residents.remove(oldest.generation());
    pool.free(oldest.pages());
    directory.freeSlot(oldest.slot());
    evictions++;
    // Work that reads the old content may still wait in the compute stream.
    readEvent.record(compute);
    copies.waitFor(readEvent);
    return true;
  }

  /** Sends the weights of one module, unless the device has them. */
  void send(ResidentAdapter adapter, AdapterLease lease, TargetModule target) {
    int module = target.index();
    if (adapter.rank(module) == 0 || adapter.isSent(module)) {
      return;
    }
    compute.expectNoCapture("the first call with a module of an adapter");
    Place place = adapter.layout().place(module).orElseThrow();
    LoraWeights weights =
        lease
            .weights(target)
            .filter(w -> AdapterLayout.Shape.of(w).equals(place.shape()))
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "adapter '"
                            + lease.spec().id()
                            + "': "
                            + target
                            + " is not what it was when this generation was first used"));
    writer.start(adapter, place.begin());
    writeList(adapter, place.aList(), place.a(), place.b());
    writeList(adapter, place.bList(), place.b(), place.end());
    writeRows(weights.a(), place.a(), place.shape().aStride());
    writeRows(weights.b(), place.b(), place.shape().bStride());
    writer.flush();
    adapter.markSent(module);
    sending = true;
  }

  private void writeList(ResidentAdapter adapter, long list, long from, long to) {
    if (list < 0) {
      return;
    }
    writer.padTo(list);
    int pageBytes = pool.pageBytes();
    for (long page = from / pageBytes; page * pageBytes < to; page++) {
      writer.writeLong(adapter.pageAddress((int) page));
    }
  }

  private void writeRows(LoraFactor factor, long begin, int stride) {
    long bytes = (long) factor.rowLength() * factor.type().bytes();
    for (int r = 0; r < factor.rank(); r++) {
      writer.padTo(begin + (long) r * stride);
      writer.write(factor.memory(), factor.rowOffset(r), bytes);
    }
    writer.padTo(begin + (long) factor.rank() * stride);
  }

  /** Makes the compute stream wait for what has been sent so far. */
  void awaitSent() {
    if (sending) {
      compute.expectNoCapture("a call while adapters are being sent");
      sending = false;
      sentEvent.record(copies);
      compute.waitFor(sentEvent);
    }
  }

  @Override
  public void close() {
    copies.synchronize();
    writer.close();
    directory.close();
    sentEvent.close();
    readEvent.close();
    copies.close();
  }
}
