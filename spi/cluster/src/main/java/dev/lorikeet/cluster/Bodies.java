package dev.lorikeet.cluster;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;

/**
 * Memory for the bodies of messages: pieces of powers of two, used again and again. Whoever holds a
 * piece keeps it alive. Safe for use by any number of threads.
 */
final class Bodies {
  private static final int SMALLEST = 1024;
  private static final int ALIGNMENT = 64;

  private final Map<Long, Deque<MemorySegment>> free = new HashMap<>();

  /** Returns a piece of at least so many bytes, of any content. */
  MemorySegment take(int bytes) {
    long size = size(bytes);
    synchronized (this) {
      Deque<MemorySegment> same = free.get(size);
      if (same != null && !same.isEmpty()) {
        return same.pop();
      }
    }
    return Arena.ofAuto().allocate(size, ALIGNMENT);
  }

  private static long size(int bytes) {
    return bytes <= SMALLEST ? SMALLEST : Long.highestOneBit(bytes - 1L) << 1;
  }

  /** Takes a piece back. */
  synchronized void give(MemorySegment piece) {
    free.computeIfAbsent(piece.byteSize(), size -> new ArrayDeque<>()).push(piece);
  }
}
