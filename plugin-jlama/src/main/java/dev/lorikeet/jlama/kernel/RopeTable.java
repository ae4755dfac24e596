package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;

/**
 * Cosines and sines of the rotary embedding, one row of {@code headDim / 2} for each position, for
 * as many positions as were used so far. Kernels read it; {@link #cover} and {@link #close} must
 * not overlap them.
 */
public final class RopeTable implements AutoCloseable {
  private static final int FIRST_POSITIONS = 512;

  private final double[] inverse;
  private final double scale;
  private Arena arena;
  private Rows cos;
  private Rows sin;

  /**
   * Creates a table.
   *
   * @param inverse the {@code headDim / 2} inverse frequencies in radians per position
   * @param scale the factor on cosines and sines
   */
  public RopeTable(double[] inverse, double scale) {
    this.inverse = inverse.clone();
    this.scale = scale;
    arena = Arena.ofShared();
    cos = Rows.allocate(arena, FIRST_POSITIONS, inverse.length);
    sin = Rows.allocate(arena, FIRST_POSITIONS, inverse.length);
    fill(0);
  }

  /** Makes sure that positions below {@code end} are there; doubles the table when they are not. */
  public void cover(int end) {
    int positions = cos.rows();
    if (end > positions) {
      grow(Math.max(end, (int) Math.min(Integer.MAX_VALUE, 2L * positions)));
    }
  }

  private void grow(int size) {
    Arena larger = Arena.ofShared();
    Rows newCos = Rows.allocate(larger, size, inverse.length);
    Rows newSin = Rows.allocate(larger, size, inverse.length);
    int known = cos.rows();
    newCos.segment().copyFrom(cos.segment());
    newSin.segment().copyFrom(sin.segment());
    arena.close();
    arena = larger;
    cos = newCos;
    sin = newSin;
    fill(known);
  }

  private void fill(int from) {
    for (int position = from; position < cos.rows(); position++) {
      for (int i = 0; i < inverse.length; i++) {
        double angle = position * inverse[i];
        cos.set(position, i, (float) (scale * Math.cos(angle)));
        sin.set(position, i, (float) (scale * Math.sin(angle)));
      }
    }
  }

  int headDim() {
    return 2 * inverse.length;
  }

  Rows cos() {
    return cos;
  }

  Rows sin() {
    return sin;
  }

  /** Returns how many heads a row of x has. */
  int heads(Rows x) {
    if (x.columns() % headDim() != 0) {
      throw new IllegalArgumentException(
          "rope: expected heads of " + headDim() + ", found " + x.columns() + " columns");
    }
    return x.columns() / headDim();
  }

  /** Returns a position after checking that the table covers it. */
  int checkPosition(int position) {
    if (position < 0 || position >= cos.rows()) {
      throw new IllegalArgumentException(
          "rope: expected positions of 0 to " + (cos.rows() - 1) + ", found " + position);
    }
    return position;
  }

  @Override
  public void close() {
    arena.close();
  }
}
