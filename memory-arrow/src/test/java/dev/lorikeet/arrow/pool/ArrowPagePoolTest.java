package dev.lorikeet.arrow.pool;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.arrow.ArrowPagePoolProvider;
import dev.lorikeet.arrow.Expect;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.plugin.Availability;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ArrowPagePoolTest {
  private static final int PAGE = 4096;

  private static PagePool pool(int pages) {
    return new ArrowPagePoolProvider().open(PoolConfig.of((long) pages * PAGE, PAGE));
  }

  @Test
  void memoryIsOneAlignedZeroedRegionOfAllPages() {
    try (PagePool pool = pool(10)) {
      MemorySegment memory = pool.memory();
      assertEquals(10L * PAGE, memory.byteSize());
      assertEquals(0, memory.address() % 4096);
      for (long i = 0; i < memory.byteSize(); i += 8) {
        assertEquals(0, memory.get(ValueLayout.JAVA_LONG, i));
      }
      assertEquals(memory.address() + 3L * PAGE, pool.page(3).address());
      assertEquals(PAGE, pool.page(3).byteSize());
      assertThrows(IndexOutOfBoundsException.class, () -> pool.page(10));
      assertThrows(IndexOutOfBoundsException.class, () -> pool.page(-1));
    }
  }

  @Test
  void memoryThatCannotBeHadIsAnErrorWithACode() {
    long absurd = 4096L * (Integer.MAX_VALUE - 8);
    var thrown =
        assertThrows(
            LorikeetException.class,
            () -> new ArrowPagePoolProvider().open(PoolConfig.of(absurd, 4096)));
    assertEquals(LorikeetException.Code.POOL_EXHAUSTED, thrown.code());
    Expect.mentions(thrown, Long.toString(absurd));
  }

  @Test
  void optionsAreCheckedByNameAndValue() {
    var provider = new ArrowPagePoolProvider();
    provider.open(PoolConfig.of(PAGE, PAGE).withOptions(Map.of("pretouch", "true"))).close();
    for (var bad : List.of(Map.of("pretouch", "yes"), Map.of("pretuoch", "true"))) {
      var thrown =
          assertThrows(
              IllegalArgumentException.class,
              () -> provider.open(PoolConfig.of(PAGE, PAGE).withOptions(bad)));
      Expect.mentions(thrown, bad.keySet().iterator().next());
    }
  }

  @Test
  void theProviderIsAvailableWithTheFlagsOfThisBuild() {
    assertInstanceOf(Availability.Available.class, new ArrowPagePoolProvider().availability());
  }

  @Test
  void arrowCountsTheOneAllocationAndSeesItReleased() {
    var factory = new dev.lorikeet.arrow.offheap.FfmAllocationManager.FfmFactory();
    try (var allocator = ArrowPagePool.allocator(factory, 1000)) {
      try (var buffer = allocator.buffer(1000)) {
        assertEquals(1000, allocator.getAllocatedMemory());
        assertEquals(buffer.memoryAddress(), factory.latest().address());
        buffer.setLong(992, 42);
        assertEquals(42, factory.latest().get(ValueLayout.JAVA_LONG, 992));
      }
      assertEquals(0, allocator.getAllocatedMemory());
      assertFalse(factory.latest().scope().isAlive());
    }
  }
}
