package dev.lorikeet.memory;

import dev.lorikeet.tensor.Device;
import java.lang.foreign.MemorySegment;

/**
 * A fixed number of equal pages in one region of memory off the heap or on a device, shared by the
 * KV cache and the adapter weights (unified paging, S-LoRA, arXiv 2311.03285, section 5). Page
 * {@code i} is the bytes {@code [i * pageBytes, (i + 1) * pageBytes)} of {@link #memory()}, so a
 * kernel needs one base address and page numbers. Because every request is a set of single pages
 * there is no external fragmentation: an allocation fails only when fewer pages are free than asked
 * for.
 *
 * <p>Whoever allocates a page owns it until {@link #free}; its content is unspecified at
 * allocation. All methods but {@link #close} may be called from any thread. Rules P1 to P13 of the
 * specification.
 */
public interface PagePool extends AutoCloseable {
  /** Returns the size of a page in bytes: a multiple of 64, the same for all pages. */
  int pageBytes();

  /** Returns the number of pages, used and free. */
  int pageCount();

  /**
   * Returns where the memory of the pool is: the host, unless the pool says otherwise. Whoever
   * reads or writes pages from this process has to refuse a pool whose memory is elsewhere.
   */
  default Device device() {
    return Device.HOST;
  }

  /**
   * Returns the whole region, {@code pageCount * pageBytes} bytes on {@link #device()}, aligned to
   * at least 64 bytes; valid until {@link #close}. On a device its address is a device address,
   * which only what runs on that device may dereference.
   */
  MemorySegment memory();

  /**
   * Returns the bytes of one page, on {@link #device()}; throws {@link IndexOutOfBoundsException}
   * for a number outside {@code [0, pageCount)}.
   */
  default MemorySegment page(int page) {
    java.util.Objects.checkIndex(page, pageCount());
    return memory().asSlice((long) page * pageBytes(), pageBytes());
  }

  /**
   * Allocates {@code count} pages, all or none, and writes their numbers to {@code pages[from ..
   * from + count)}. When too few are free, the pool first asks its reclaimers, in the order of
   * their registration, to free some.
   *
   * @return whether the pages were allocated; if not, {@code pages} is as before
   * @throws IllegalStateException if the pool is closed
   */
  boolean allocate(PageOwner owner, int[] pages, int from, int count);

  /**
   * Allocates {@code count} pages that follow one another, for what is longer than a page, as
   * {@link #allocate} does: all or none, after asking the reclaimers. That fails although enough
   * pages are free where no run of them is long enough; it succeeds in an empty pool.
   *
   * @return whether the pages were allocated, {@code pages[from]} the first; always false where
   *     {@link #allocatesRuns()} is
   * @throws IllegalStateException if the pool is closed
   */
  default boolean allocateRun(PageOwner owner, int[] pages, int from, int count) {
    return false;
  }

  /** Returns whether {@link #allocateRun} is there. */
  default boolean allocatesRuns() {
    return false;
  }

  /**
   * Gives back {@code pages[from .. from + count)}.
   *
   * @throws IllegalArgumentException if one of them is not allocated, or stands there twice; then
   *     none is freed
   * @throws IllegalStateException if the pool is closed
   */
  void free(int[] pages, int from, int count);

  /** Returns a consistent count of pages by owner. */
  PoolStats stats();

  /**
   * Registers someone who can give pages back when an allocation finds too few, such as a store
   * that evicts unleased adapters.
   *
   * @return the registration; closing it ends it
   */
  Registration onPressure(Reclaimer reclaimer);

  /**
   * Releases the memory. Idempotent. The caller makes sure that nobody uses the memory any more.
   *
   * @throws IllegalStateException if pages are still allocated; the message tells how many by
   *     owner. The memory is released all the same
   */
  @Override
  void close();

  /** Frees pages under pressure. */
  @FunctionalInterface
  interface Reclaimer {
    /**
     * Frees pages that can be spared, by {@link PagePool#free}. Called on the allocating thread
     * without any lock of the pool held; must not allocate.
     *
     * @param pages how many more pages are wanted
     * @return how many were freed, possibly more or fewer than wanted
     */
    int reclaim(int pages);
  }

  /** The registration of a reclaimer. */
  interface Registration extends AutoCloseable {
    /** Ends the registration; idempotent. */
    @Override
    void close();
  }
}
