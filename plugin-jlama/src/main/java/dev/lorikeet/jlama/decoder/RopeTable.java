package dev.lorikeet.jlama.decoder;

import dev.lorikeet.files.model.RopeFrequencies;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Cosines and sines of the rotary embedding, {@code [positions, headDim / 2]} float32 each, for as
 * many positions as were used so far. Used by the decoding thread alone.
 */
final class RopeTable implements AutoCloseable {
  private static final int FIRST_POSITIONS = 512;

  private final double[] inverse;
  private final double scale;
  private Arena arena = Arena.ofShared();
  private MemorySegment cos = MemorySegment.NULL;
  private MemorySegment sin = MemorySegment.NULL;
  private int positions;

  RopeTable(RopeFrequencies frequencies) {
    this.inverse = frequencies.inverse();
    this.scale = frequencies.scale();
    grow(FIRST_POSITIONS);
  }

  /** Makes sure that positions below {@code end} are there; doubles the table when they are not. */
  void cover(int end) {
    if (end > positions) {
      grow(Math.max(end, (int) Math.min(Integer.MAX_VALUE, 2L * positions)));
    }
  }

  MemorySegment cos() {
    return cos;
  }

  MemorySegment sin() {
    return sin;
  }

  private void grow(int size) {
    int half = inverse.length;
    Arena larger = Arena.ofShared();
    MemorySegment newCos = larger.allocate((long) size * half * Float.BYTES, 64);
    MemorySegment newSin = larger.allocate((long) size * half * Float.BYTES, 64);
    long old = (long) positions * half * Float.BYTES;
    MemorySegment.copy(cos, 0, newCos, 0, old);
    MemorySegment.copy(sin, 0, newSin, 0, old);
    for (int p = positions; p < size; p++) {
      for (int i = 0; i < half; i++) {
        double angle = p * inverse[i];
        newCos.setAtIndex(
            ValueLayout.JAVA_FLOAT, (long) p * half + i, (float) (scale * Math.cos(angle)));
        newSin.setAtIndex(
            ValueLayout.JAVA_FLOAT, (long) p * half + i, (float) (scale * Math.sin(angle)));
      }
    }
    arena.close();
    arena = larger;
    cos = newCos;
    sin = newSin;
    positions = size;
  }

  @Override
  public void close() {
    arena.close();
  }
}
