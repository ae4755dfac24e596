package org.apache.arrow.memory.unsafe;

import dev.lorikeet.arrow.offheap.FfmAllocationManager;
import org.apache.arrow.memory.AllocationManager;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;

/**
 * The default allocation manager that Arrow finds by this very name and reads {@link #FACTORY} of:
 * its allocators do not initialize without one, even when each is given another, as ours are. It
 * makes an application's own Arrow allocators work too, without {@code arrow-memory-unsafe} or
 * {@code arrow-memory-netty}; with the former on the class path, the first of the two is used.
 */
final class DefaultAllocationManagerFactory implements AllocationManager.Factory {
  @SuppressWarnings("UnusedVariable") // Arrow reads it by reflection.
  static final AllocationManager.Factory FACTORY = new DefaultAllocationManagerFactory();

  private DefaultAllocationManagerFactory() {}

  @Override
  public AllocationManager create(BufferAllocator accounting, long size) {
    return new FfmAllocationManager.FfmFactory().create(accounting, size);
  }

  @Override
  public ArrowBuf empty() {
    return new FfmAllocationManager.FfmFactory().empty();
  }
}
