package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.Test;

class HugePagesTest {
  @Test
  void memoryIsZeroedAlignedWritableAndEndsWithItsArena() {
    for (long bytes : new long[] {0, 1, 4096, (2L << 20) - 1, 2L << 20, (5L << 20) + 3}) {
      MemorySegment segment;
      try (Arena arena = Arena.ofShared()) {
        segment = HugePages.allocate(arena, bytes);
        assertEquals(bytes, segment.byteSize());
        assertEquals(0, segment.address() % 64);
        for (long i = 0; i < bytes; i += 511) {
          assertEquals(0, segment.get(ValueLayout.JAVA_BYTE, i));
        }
        segment.fill((byte) 7);
      }
      assertFalse(segment.scope().isAlive());
    }
  }

  @Test
  void aCopyHasTheSameBytes() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment source = arena.allocateFrom("forty-two lorikeets");
      assertEquals(
          -1, HugePages.allocate(arena, source.byteSize()).copyFrom(source).mismatch(source));
    }
  }

  @Test
  void aNegativeSizeIsRefused() {
    try (Arena arena = Arena.ofConfined()) {
      var e = assertThrows(IllegalArgumentException.class, () -> HugePages.allocate(arena, -1));
      assertTrue(String.valueOf(e.getMessage()).contains("-1"));
    }
  }
}
