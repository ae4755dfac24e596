package dev.lorikeet.training.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Room on the heap for a strip of values, gradients and state. The JVM makes vectors of loops over
 * arrays, not of loops over several memory segments, which might overlap; what is copied stays in
 * the first-level cache. Used by one thread at a time.
 */
public final class Strips {
  static final int LENGTH = 1024;

  final float[] values = new float[LENGTH];
  final float[] gradients = new float[LENGTH];
  final float[] means = new float[LENGTH];
  final float[] squares = new float[LENGTH];

  static void load(MemorySegment from, long at, float[] to, int count) {
    MemorySegment.copy(from, ValueLayout.JAVA_FLOAT, at * Float.BYTES, to, 0, count);
  }

  static void store(float[] from, MemorySegment to, long at, int count) {
    MemorySegment.copy(from, 0, to, ValueLayout.JAVA_FLOAT, at * Float.BYTES, count);
  }
}
