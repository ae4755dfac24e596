package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.cuda.driver.PinnedMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import java.util.Collection;

/**
 * The table through which kernels find adapters: {@code TargetRecord [slots][stride]} on the
 * device, one slot per resident adapter, one record per numbered target module. It grows by
 * doubling, which waits for the device; in steady use it has the size that it needs.
 */
final class Directory implements AutoCloseable {
  private static final int FIRST_SLOTS = 64;

  private final CudaStream copies;
  private final CudaEvent copied = CudaEvent.forOrder();
  private final BitSet used = new BitSet();
  private int slots = FIRST_SLOTS;
  private int stride = 7;
  private DeviceMemory table;
  private PinnedMemory staging;

  Directory(CudaStream copies) {
    this.copies = copies;
    table = DeviceMemory.allocate((long) slots * stride * TargetRecord.BYTES);
    staging = PinnedMemory.allocate((long) stride * TargetRecord.BYTES);
  }

  long address() {
    return table.address();
  }

  /** Returns the number of records from one slot to the next. */
  int stride() {
    return stride;
  }

  int takeSlot() {
    int slot = used.nextClearBit(0);
    used.set(slot);
    return slot;
  }

  void freeSlot(int slot) {
    used.clear(slot);
  }

  /** Returns whether a table of the present size holds this slot and so many modules. */
  boolean holds(int slot, int modules) {
    return slot < slots && modules <= stride;
  }

  /** Makes the table larger and writes it anew; nothing may be running on the device. */
  void grow(int slot, int modules, Collection<ResidentAdapter> residents) {
    while (slots <= slot) {
      slots *= 2;
    }
    stride = Math.max(stride, modules);
    copied.synchronize();
    table.close();
    staging.close();
    table = DeviceMemory.allocate((long) slots * stride * TargetRecord.BYTES);
    staging = PinnedMemory.allocate((long) stride * TargetRecord.BYTES);
    for (ResidentAdapter adapter : residents) {
      write(adapter);
    }
  }

  /** Writes one adapter's records, on the copy stream. */
  void write(ResidentAdapter adapter) {
    copied.synchronize();
    byte[] records = adapter.records();
    MemorySegment pinned = staging.memory();
    pinned.fill((byte) 0);
    MemorySegment.copy(records, 0, pinned, ValueLayout.JAVA_BYTE, 0, records.length);
    copies.copyToDevice(
        table.address() + (long) adapter.slot() * stride * TargetRecord.BYTES,
        pinned,
        pinned.byteSize());
    copied.record(copies);
  }

  @Override
  public void close() {
    table.close();
    staging.close();
    copied.close();
  }
}
