package dev.lorikeet.cuda.memory;

import dev.lorikeet.cuda.driver.CudaEvent;
import dev.lorikeet.cuda.driver.CudaStream;
import dev.lorikeet.cuda.driver.PinnedMemory;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Writes adapters into device pages, from pinned memory, on a stream of its own.
 *
 * <p>Idea: rows are gathered from the host pool's pages into a ring of pinned pages while earlier
 * ones are being copied; the host waits only when the whole ring is in flight. Layout: {@code
 * slots} pinned pages, each with an event that marks the end of its last copy. Cost: one pass over
 * the rows on the host, one copy per device page.
 */
final class PageWriter implements AutoCloseable {
  private final CudaStream stream;
  private final PinnedMemory pinned;
  private final CudaEvent[] copied;
  private final int pageBytes;
  private int current;
  // The part of a device page that is being gathered.
  private @Nullable ResidentAdapter adapter;
  private long begin;
  private long position;

  PageWriter(CudaStream stream, int pageBytes, int slots) {
    this.stream = stream;
    this.pageBytes = pageBytes;
    pinned = PinnedMemory.allocate((long) pageBytes * slots);
    copied = new CudaEvent[slots];
    for (int i = 0; i < slots; i++) {
      copied[i] = CudaEvent.forOrder();
    }
  }

  /** Starts writing at a place of an adapter's linear space. */
  void start(ResidentAdapter adapter, long place) {
    this.adapter = adapter;
    begin = place;
    position = place;
    copied[current].synchronize();
  }

  /** Writes zeros up to a place. */
  void padTo(long place) {
    while (position < place) {
      int room = (int) Math.min(place - position, room());
      slice(room).fill((byte) 0);
      advance(room);
    }
  }

  /** Writes bytes of host memory. */
  void write(MemorySegment source, long offset, long bytes) {
    long done = 0;
    while (done < bytes) {
      int room = (int) Math.min(bytes - done, room());
      MemorySegment.copy(source, offset + done, slice(room), 0, room);
      advance(room);
      done += room;
    }
  }

  void writeLong(long value) {
    slice(8).set(ValueLayout.JAVA_LONG_UNALIGNED, 0, value);
    advance(8);
  }

  /** Sends what has been gathered. */
  void flush() {
    long bytes = position - begin;
    if (bytes > 0) {
      MemorySegment gathered =
          pinned.memory().asSlice((long) current * pageBytes + begin % pageBytes, bytes);
      stream.copyToDevice(Objects.requireNonNull(adapter).address(begin), gathered, bytes);
      copied[current].record(stream);
      current = (current + 1) % copied.length;
      copied[current].synchronize();
      begin = position;
    }
  }

  private long room() {
    return pageBytes - position % pageBytes;
  }

  private MemorySegment slice(int bytes) {
    return pinned.memory().asSlice((long) current * pageBytes + position % pageBytes, bytes);
  }

  private void advance(int bytes) {
    position += bytes;
    if (position % pageBytes == 0) {
      flush();
    }
  }

  @Override
  public void close() {
    for (CudaEvent event : copied) {
      event.close();
    }
    pinned.close();
  }
}
