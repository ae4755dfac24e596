package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C1;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C2;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C3;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C4;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C5;
import static dev.lorikeet.jlama.kernel.VectorElementwise.C6;
import static dev.lorikeet.jlama.kernel.VectorElementwise.EXP_LOW;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LN2_HIGH;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LN2_LOW;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LOG2_E;
import static dev.lorikeet.jlama.kernel.VectorElementwise.ONE_BITS;
import static dev.lorikeet.jlama.kernel.VectorElementwise.ROUND;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The inner loop of {@link VectorElementwise} with an error function. */
final class ErfKernels {
  /*
   * gelu(x) = x Phi(x), with the normal distribution Phi(x) = (1 + erf(x / sqrt(2))) / 2. For a = |x|,
   * Phi(-a) = exp(-a^2 / 2) u Q(u) with u = 1 / (1 + 0.37 a) and Q of degree 9: the scaled complementary error
   * function is smooth in u and goes to 0 with it. Q was fitted for the least relative error over a from 0 to 15
   * (2^-25.9). Above 0 the result is x (1 - Phi(-a)), below it x Phi(-a), which cancels nothing. What the rounding of
   * a^2 loses goes into the reduced argument of the exponential, so that the relative error does not grow with a.
   *
   * a is cut to 15, where Phi(-a) is nothing in float32, so that squares are finite; NaN stays NaN. Below -13.2 the
   * exponential and with it the result is 0. Measured: an error of 2^-22.3 of x, and above -13 of 2^-21.3 of the
   * result.
   *
   * The exponential is VectorElementwise's, written out, since a vector that crosses a call is boxed. What is left
   * behind the last whole vector uses the error function in float64.
   */
  private static final float MOST = 15;
  private static final float U = 0.37f;
  private static final float Q0 = 0.147597596f;
  private static final float Q1 = 0.147907138f;
  private static final float Q2 = 0.123952553f;
  private static final float Q3 = 0.109357454f;
  private static final float Q4 = -0.0551279746f;
  private static final float Q5 = 0.217288256f;
  private static final float Q6 = -0.407977879f;
  private static final float Q7 = 0.31710127f;
  private static final float Q8 = -0.117451161f;
  private static final float Q9 = 0.0173527356f;

  private ErfKernels() {}

  /**
   * y = gelu(x), times {@code factor} if there is one.
   *
   * @param factor where the factors lie; 0 for none
   */
  static void gelu(long from, long factor, long to, int count) {
    long xa = from & ADDRESS;
    long fa = factor & ADDRESS;
    long ya = to & ADDRESS;
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector v = FloatVector.fromMemorySegment(F, ALL, xa + i * BYTES, LE);
      FloatVector a = v.abs().min(MOST);
      FloatVector square = a.mul(a);
      FloatVector lost = a.fma(a, square.neg());
      FloatVector x = square.mul(-0.5f);
      FloatVector shifted =
          x.fma(FloatVector.broadcast(F, LOG2_E), FloatVector.broadcast(F, ROUND));
      FloatVector n = shifted.sub(ROUND);
      FloatVector r = n.fma(FloatVector.broadcast(F, -LN2_HIGH), x);
      r = n.fma(FloatVector.broadcast(F, -LN2_LOW), r);
      r = lost.fma(FloatVector.broadcast(F, -0.5f), r);
      FloatVector p = r.fma(FloatVector.broadcast(F, C6), FloatVector.broadcast(F, C5));
      p = p.fma(r, FloatVector.broadcast(F, C4));
      p = p.fma(r, FloatVector.broadcast(F, C3));
      p = p.fma(r, FloatVector.broadcast(F, C2));
      p = p.fma(r, FloatVector.broadcast(F, C1));
      p = p.fma(r.mul(r), r).add(1);
      FloatVector power =
          shifted
              .reinterpretAsInts()
              .lanewise(VectorOperators.LSHL, 23)
              .add(ONE_BITS)
              .reinterpretAsFloats();
      FloatVector e = p.mul(power).blend(0f, x.compare(VectorOperators.LT, EXP_LOW));
      FloatVector one = FloatVector.broadcast(F, 1);
      FloatVector u = one.div(a.fma(FloatVector.broadcast(F, U), one));
      FloatVector q = u.fma(FloatVector.broadcast(F, Q9), FloatVector.broadcast(F, Q8));
      q = q.fma(u, FloatVector.broadcast(F, Q7));
      q = q.fma(u, FloatVector.broadcast(F, Q6));
      q = q.fma(u, FloatVector.broadcast(F, Q5));
      q = q.fma(u, FloatVector.broadcast(F, Q4));
      q = q.fma(u, FloatVector.broadcast(F, Q3));
      q = q.fma(u, FloatVector.broadcast(F, Q2));
      q = q.fma(u, FloatVector.broadcast(F, Q1));
      q = q.fma(u, FloatVector.broadcast(F, Q0));
      FloatVector below = q.mul(u).mul(e);
      FloatVector phi = one.sub(below).blend(below, v.compare(VectorOperators.LT, 0f));
      FloatVector y = v.mul(phi).blend(0f, v.compare(VectorOperators.LT, -MOST));
      if (factor != 0) {
        y = y.mul(FloatVector.fromMemorySegment(F, ALL, fa + i * BYTES, LE));
      }
      y.intoMemorySegment(ALL, ya + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      float y = Erf.gelu(NativeMemory.get(xa + i * 4L));
      NativeMemory.set(ya + i * 4L, factor != 0 ? y * NativeMemory.get(fa + i * 4L) : y);
    }
  }
}
