package dev.lorikeet.bench.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntToDoubleFunction;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/*
 * The roofline of Williams, Waterman and Patterson (2009): work can't be done faster than its bytes
 * can be read, nor than its multiply-adds can be issued. Both are measured here with all threads at
 * once and in the same language as the kernels, as the best of several tries: reading four streams
 * of a buffer with vector loads, and ten independent chains of multiply-adds in registers.
 */

/**
 * How fast this machine can be.
 *
 * @param threads the threads that measured
 * @param memoryBytesPerSecond reading a buffer larger than the caches
 * @param modelBytesPerSecond reading a buffer as large as the model, which caches may hold in part
 * @param flopsPerSecond multiply-adds of float32, each counted as two operations
 */
public record Roofline(
    int threads, double memoryBytesPerSecond, double modelBytesPerSecond, double flopsPerSecond) {
  private static final VectorSpecies<Float> FLOATS = FloatVector.SPECIES_PREFERRED;
  private static final VectorSpecies<Integer> INTS = IntVector.SPECIES_PREFERRED;
  private static final long MEMORY_BUFFER = 1L << 30;
  private static final int TRIES = 7;
  private static final int CHAINS = 10;
  private static final int MULTIPLY_ADDS = 20_000_000;

  /** Measures; takes some seconds. */
  public static Roofline measure(int threads, long modelBytes) {
    return new Roofline(
        threads,
        readMemory(threads),
        read(threads, Math.max(1 << 20, modelBytes)),
        2.0
            * CHAINS
            * FLOATS.length()
            * MULTIPLY_ADDS
            * threads
            / best(threads, thread -> multiplyAdd(MULTIPLY_ADDS)));
  }

  /** Measures only how fast memory is read, in bytes per second. */
  public static double readMemory(int threads) {
    return read(threads, MEMORY_BUFFER);
  }

  /**
   * Returns the shortest time in which a step can be done, in seconds.
   *
   * @param bytes what has to be read from memory
   * @param flops operations, two for each multiply-add
   */
  public double seconds(double bytes, double flops) {
    return Math.max(bytes / modelBytesPerSecond, flops / flopsPerSecond);
  }

  private static double read(int threads, long bytes) {
    try (Arena arena = Arena.ofShared()) {
      MemorySegment memory = arena.allocate(bytes, 64);
      long part = bytes / threads & -4096L;
      best(threads, thread -> memory.asSlice(thread * part, part).fill((byte) 1).byteSize());
      return (double) part
          * threads
          / best(threads, thread -> sum(memory.asSlice(thread * part, part)));
    }
  }

  private static double sum(MemorySegment memory) {
    IntVector a = IntVector.zero(INTS);
    IntVector b = a;
    IntVector c = a;
    IntVector d = a;
    long quarter = memory.byteSize() / 4;
    for (long i = 0; i < quarter; i += INTS.vectorByteSize()) {
      a = a.add(load(memory, i));
      b = b.add(load(memory, i + quarter));
      c = c.add(load(memory, i + 2 * quarter));
      d = d.add(load(memory, i + 3 * quarter));
    }
    return a.add(b).add(c).add(d).reduceLanes(VectorOperators.ADD);
  }

  private static IntVector load(MemorySegment memory, long offset) {
    return IntVector.fromMemorySegment(INTS, memory, offset, ByteOrder.nativeOrder());
  }

  private static double multiplyAdd(int rounds) {
    FloatVector a = FloatVector.broadcast(FLOATS, 1.0000001f);
    FloatVector b = FloatVector.broadcast(FLOATS, 1e-9f);
    FloatVector c0 = FloatVector.zero(FLOATS);
    FloatVector c1 = c0.add(1);
    FloatVector c2 = c0.add(2);
    FloatVector c3 = c0.add(3);
    FloatVector c4 = c0.add(4);
    FloatVector c5 = c0.add(5);
    FloatVector c6 = c0.add(6);
    FloatVector c7 = c0.add(7);
    FloatVector c8 = c0.add(8);
    FloatVector c9 = c0.add(9);
    for (int i = 0; i < rounds; i++) {
      c0 = c0.fma(a, b);
      c1 = c1.fma(a, b);
      c2 = c2.fma(a, b);
      c3 = c3.fma(a, b);
      c4 = c4.fma(a, b);
      c5 = c5.fma(a, b);
      c6 = c6.fma(a, b);
      c7 = c7.fma(a, b);
      c8 = c8.fma(a, b);
      c9 = c9.fma(a, b);
    }
    FloatVector low = c0.add(c1).add(c2).add(c3).add(c4);
    return low.add(c5).add(c6).add(c7).add(c8).add(c9).reduceLanes(VectorOperators.ADD);
  }

  /**
   * Runs the same work on all threads at once, some times; returns the shortest time in seconds,
   * from the first thread's start to the last one's end by their own clocks: a thread that only
   * watches may be woken late.
   */
  private static double best(int threads, IntToDoubleFunction work) {
    CyclicBarrier barrier = new CyclicBarrier(threads + 1);
    AtomicLong kept = new AtomicLong(); // keeps results alive; their value does not matter
    long[] starts = new long[threads];
    long[] ends = new long[threads];
    for (int i = 0; i < threads; i++) {
      int thread = i;
      Thread.ofPlatform()
          .daemon()
          .start(
              () -> {
                for (int attempt = 0; attempt < TRIES; attempt++) {
                  await(barrier);
                  starts[thread] = System.nanoTime();
                  kept.addAndGet((long) work.applyAsDouble(thread));
                  ends[thread] = System.nanoTime();
                  await(barrier);
                }
              });
    }
    long best = Long.MAX_VALUE;
    for (int attempt = 0; attempt < TRIES; attempt++) {
      await(barrier);
      await(barrier);
      long first = Arrays.stream(starts).min().orElseThrow();
      best = Math.min(best, Arrays.stream(ends).max().orElseThrow() - first);
    }
    return best / 1e9;
  }

  private static void await(CyclicBarrier barrier) {
    try {
      barrier.await();
    } catch (InterruptedException | BrokenBarrierException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while measuring", e);
    }
  }
}
