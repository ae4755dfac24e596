package dev.lorikeet.cuda.memory;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.memory.AdapterLayout.Place;
import dev.lorikeet.shape.TargetModule;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Which adapters are on the device.
 *
 * <p>Idea: a generation of an adapter gets its pages when a lease on it is first used, and keeps
 * them until others need the room: least recently used first, never one of the batch at hand.
 * Weights follow module by module, on a stream of their own: a batch waits for the modules that it
 * is about to use alone, while those of later layers travel under its computation. Pages that
 * change hands are written only after the work that reads them has ended.
 *
 * <p>Layout: the pages of {@link AdapterLayout}, and a directory through which kernels find them.
 * Cost: an eviction looks at every resident adapter once; weights are sent once per stay on the
 * device. Borrows the stream and the pool, owns the rest. Not thread-safe; the context must be
 * current.
 */
public final class AdapterCache implements AutoCloseable {
  private static final int STAGING_PAGES = 32;

  private final CudaStream compute;
  private final CudaStream copies = CudaStream.independent();
  private final CudaEvent sentEvent = CudaEvent.forOrder();
  private final CudaEvent readEvent = CudaEvent.forOrder();
  private final DevicePagePool pool;
  private final Directory directory;
  private final PageWriter writer;
  private final ModuleNumbers numbers = new ModuleNumbers();
  private final Map<Long, ResidentAdapter> residents = new HashMap<>();
  private long evictions;
  private boolean sending;

  /**
   * Creates an empty cache.
   *
   * @param compute the stream of the work that reads adapters
   * @param pool where adapters get their pages
   */
  public AdapterCache(CudaStream compute, DevicePagePool pool) {
    this.compute = compute;
    this.pool = pool;
    directory = new Directory(copies);
    writer = new PageWriter(copies, pool.pageBytes(), STAGING_PAGES);
  }

  /**
   * Returns the device address of the directory, {@code TargetRecord [slots][directoryStride()]};
   * it changes when an adapter is admitted or modules are reserved.
   */
  public long directoryAddress() {
    return directory.address();
  }

  /** Returns the number of the directory's records from one slot to the next; changes likewise. */
  public int directoryStride() {
    return directory.stride();
  }

  /** Returns the logarithm of the size of a page in bytes. */
  public int pageShift() {
    return Integer.numberOfTrailingZeros(pool.pageBytes());
  }

  /** Returns how many adapters were evicted; who holds adapters from before must ask again. */
  public long evictions() {
    return evictions;
  }

  /** Returns the adapter if it is on the device, marked as used at {@code now}; null if not. */
  public @Nullable ResidentAdapter find(AdapterLease lease, long now) {
    ResidentAdapter found = residents.get(lease.spec().generation());
    if (found != null) {
      found.used(now, 0);
    }
    return found;
  }

  /**
   * Gives an adapter pages, evicting others that were last used before {@code now}. Its weights are
   * sent later.
   *
   * @throws LorikeetException with {@code TOO_LARGE} or {@code POOL_EXHAUSTED}
   * @throws IllegalArgumentException if kernels cannot take a factor of the adapter
   */
  public ResidentAdapter admit(AdapterLease lease, long now) {
    AdapterLayout layout = AdapterLayout.of(lease, pool.pageBytes(), numbers);
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

  /**
   * Returns the number of a module: its place among an adapter's records in the directory, and how
   * {@link ResidentAdapter} knows it. Allocates nothing but when a module of a layer is first seen.
   */
  public int number(TargetModule module) {
    return numbers.of(module);
  }

  /** Makes sure that the directory has records for all modules that have a number. */
  public void reserveModules() {
    if (!directory.holds(0, numbers.count())) {
      growDirectory(0, numbers.count());
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

  /**
   * Sends the weights of one module, unless the device has them.
   *
   * @throws IllegalArgumentException if the module is not what it was when the adapter was admitted
   */
  public void send(ResidentAdapter adapter, AdapterLease lease, TargetModule target) {
    int module = number(target);
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

  /**
   * Sends the weights of the next module, from the last one used on, that the device does not have;
   * the adapter must not be complete.
   */
  public void sendNext(ResidentAdapter adapter, AdapterLease lease) {
    send(adapter, lease, adapter.layout().place(adapter.nextToSend()).orElseThrow().target());
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
  public void awaitSent() {
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
