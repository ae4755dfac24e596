package dev.lorikeet.jlama.kernel;

import java.lang.foreign.Arena;

/**
 * Cosines and sines of the rotary embedding, one row for each position, for as many positions as
 * were used so far. Heads may be wider than what is rotated of them: with h frequencies the first
 * 2h elements of a head, element i with element i + h, and the others stay. Kernels read it; {@link
 * #cover} and {@link #close} must not overlap them.
 */
public final class RopeTable implements AutoCloseable {
  private static final int FIRST_POSITIONS = 512;

  private final double[] inverse;
  private final double scale;
  private final int headDim;
  private Arena arena;
  private Rows cos;
  private Rows sin;

  /**
   * Creates a table that rotates whole heads.
   *
   * @param inverse the {@code headDim / 2} inverse frequencies in radians per position
   * @param scale the factor on cosines and sines
   */
  public RopeTable(double[] inverse, double scale) {
    this(inverse, scale, 2 * inverse.length);
  }

  /**
   * Creates a table.
   *
   * @param inverse the inverse frequencies in radians per position
   * @param scale the factor on cosines and sines
   * @param headDim width of a head, at least twice as many as there are frequencies
   */
  public RopeTable(double[] inverse, double scale, int headDim) {
    if (headDim < 2L * inverse.length) {
      throw new IllegalArgumentException(
          "rope: expected heads of at least "
              + 2L * inverse.length
              + " for "
              + inverse.length
              + " frequencies, found "
              + headDim);
    }
    this.headDim = headDim;
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
    return headDim;
  }

  /** Returns how many pairs of elements of a head are rotated. */
  int half() {
    return inverse.length;
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
