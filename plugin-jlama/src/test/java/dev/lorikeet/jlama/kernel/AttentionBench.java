package dev.lorikeet.jlama.kernel;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/**
 * A benchmark to run by hand: paged attention of the 135 M shape (9 query heads, 3 key and value
 * heads of 64), one layer, on one thread, in processor time. Eight sequences that decode, and one
 * chunk of prefill.
 */
final class AttentionBench {
  private AttentionBench() {}

  public static void main(String[] args) {
    for (ElementType type : new ElementType[] {ElementType.F32, ElementType.F16}) {
      for (int length : new int[] {64, 512}) {
        int[] lengths = new int[8];
        int[] chunks = new int[8];
        Arrays.fill(lengths, length);
        Arrays.fill(chunks, 1);
        measure("8 decode", type, lengths, chunks);
        measure("prefill ", type, new int[] {length}, new int[] {length});
      }
    }
  }

  private static void measure(String name, ElementType type, int[] lengths, int[] chunks) {
    AttentionShape shape = new AttentionShape(9, 3, 64, 32, type);
    Random random = new Random(1);
    try (Arena arena = Arena.ofConfined();
        AttentionScratch scratch = new AttentionScratch(shape, 1)) {
      RaggedBatch batch = RaggedBatch.of(shape, random, lengths, chunks);
      MemorySegment pool =
          RandomWeights.elements(
              arena,
              random,
              type,
              RaggedBatch.pool(arena, shape, lengths).byteSize() / type.bytes());
      MemorySegment q = RandomWeights.floats(arena, random, batch.tokens() * 576L);
      MemorySegment out = arena.allocate(batch.tokens() * 576L * 4, 64);
      double pairs = 0;
      for (int token = 0; token < batch.tokens(); token++) {
        pairs += batch.position(token) + 1;
      }
      long best = Long.MAX_VALUE;
      for (int repetition = 0; repetition < 400; repetition++) {
        long start = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        Kernels.get()
            .attention()
            .attend(shape, batch, 0, pool, q, 576 * 4, out, 576 * 4, scratch, 0, 1);
        best =
            Math.min(best, ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - start);
      }
      double flops = pairs * 9 * 64 * 4;
      System.out.printf(
          Locale.ROOT,
          "%s %s length %4d: %8.1f us a layer, %6.2f ms for 30 layers, %6.1f GFLOP/s%n",
          type,
          name,
          lengths[0],
          best / 1e3,
          best * 30 / 1e6,
          flops / best);
    }
  }
}
