package dev.lorikeet.arrow.offheap;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.apache.arrow.memory.AllocationManager;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.ReferenceManager;

/**
 * Arrow memory that comes from {@code java.lang.foreign}: each allocation is a segment in a shared
 * arena of its own, aligned to {@link #ALIGNMENT} bytes, zero at first and taken from the operating
 * system page by page as it is written. Arrow counts references and bytes; the last release closes
 * the arena, after which every view of the segment throws instead of reading foreign memory.
 */
public final class FfmAllocationManager extends AllocationManager {
  /** The alignment of every allocation: a page of the usual operating systems. */
  public static final long ALIGNMENT = 4096;

  private final Arena arena;
  private final MemorySegment segment;

  private FfmAllocationManager(BufferAllocator accounting, Arena arena, MemorySegment segment) {
    super(accounting);
    this.arena = arena;
    this.segment = segment;
  }

  @Override
  public long getSize() {
    return segment.byteSize();
  }

  @Override
  protected long memoryAddress() {
    return segment.address();
  }

  @Override
  protected void release0() {
    arena.close();
  }

  /**
   * Makes the allocations of one allocator and remembers the segment of the latest, which Arrow
   * itself hands on as an address only. Throws {@link OutOfMemoryError} when the system has no
   * more.
   */
  public static final class FfmFactory implements Factory {
    private static final ArrowBuf EMPTY = new ArrowBuf(ReferenceManager.NO_OP, null, 0, 0);

    private MemorySegment latest = MemorySegment.NULL;

    /** Creates a factory that has allocated nothing yet. */
    public FfmFactory() {}

    /** Returns the memory of the latest allocation; invalid once Arrow has released it. */
    public synchronized MemorySegment latest() {
      return latest;
    }

    @Override
    public synchronized AllocationManager create(BufferAllocator accounting, long size) {
      Arena arena = Arena.ofShared();
      try {
        latest = LazyMemory.allocate(arena, size, ALIGNMENT);
        return new FfmAllocationManager(accounting, arena, latest);
      } catch (RuntimeException | Error e) {
        arena.close();
        throw e;
      }
    }

    @Override
    public ArrowBuf empty() {
      return EMPTY;
    }
  }
}
