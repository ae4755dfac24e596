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
import static dev.lorikeet.jlama.kernel.VectorElementwise.EXP_HIGH;
import static dev.lorikeet.jlama.kernel.VectorElementwise.EXP_LOW;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LN2_HIGH;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LN2_LOW;
import static dev.lorikeet.jlama.kernel.VectorElementwise.LOG2_E;
import static dev.lorikeet.jlama.kernel.VectorElementwise.ONE_BITS;
import static dev.lorikeet.jlama.kernel.VectorElementwise.ROUND;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The inner loops of {@link VectorElementwise} and {@link VectorPagedAttention} with a tanh. */
final class TanhKernels {
  /*
   * gelu. With u = sqrt(2/pi) (x + 0.044715 x^3): 0.5 x (1 + tanh(u)) = x / (1 + exp(-2u)), which cancels nothing.
   * Where the exponential would overflow, x is below -10 and the result 0. The argument of the exponential is rounded,
   * so the relative error grows with it: measured, 2^-23 of x everywhere, but of the result 2^-20.3 above -3 and
   * 2^-16.6 at worst, where it is nearly 0.
   *
   * cap. tanh(z) = (1 - e) / (1 + e) with e = exp(-2 |z|), and the sign of z; below 0.625, where 1 - e cancels, the
   * odd polynomial of degree 11 of Cephes' tanhf (S. L. Moshier). An infinite z gives 1, and NaN stays NaN. Measured:
   * a relative error of 2^-22.
   *
   * The exponential is VectorElementwise's, written out here too, since a vector that crosses a call is boxed. What is
   * left behind the last whole vector uses StrictMath.
   */

  /** -2 sqrt(2/pi). */
  static final double LINEAR = -1.5957691216057308;

  /** -2 sqrt(2/pi) 0.044715. */
  static final double CUBIC = -0.07135481627260025;

  private static final float SMALL = 0.625f;
  private static final float T1 = -3.33332819422e-1f;
  private static final float T2 = 1.33314422036e-1f;
  private static final float T3 = -5.37397155531e-2f;
  private static final float T4 = 2.06390887954e-2f;
  private static final float T5 = -5.70498872745e-3f;

  private TanhKernels() {}

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
      FloatVector unlimited =
          v.mul(v)
              .fma(
                  FloatVector.broadcast(F, (float) CUBIC), FloatVector.broadcast(F, (float) LINEAR))
              .mul(v);
      FloatVector x = unlimited.min(EXP_HIGH);
      FloatVector shifted =
          x.fma(FloatVector.broadcast(F, LOG2_E), FloatVector.broadcast(F, ROUND));
      FloatVector n = shifted.sub(ROUND);
      FloatVector r = n.fma(FloatVector.broadcast(F, -LN2_HIGH), x);
      r = n.fma(FloatVector.broadcast(F, -LN2_LOW), r);
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
      FloatVector y = v.div(e.add(1)).blend(0f, unlimited.compare(VectorOperators.GT, EXP_HIGH));
      if (factor != 0) {
        y = y.mul(FloatVector.fromMemorySegment(F, ALL, fa + i * BYTES, LE));
      }
      y.intoMemorySegment(ALL, ya + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      float y = gelu(NativeMemory.get(xa + i * 4L));
      NativeMemory.set(ya + i * 4L, factor != 0 ? y * NativeMemory.get(fa + i * 4L) : y);
    }
  }

  /** Returns gelu(x), computed in float64. */
  static float gelu(float x) {
    double exponent = (CUBIC * x * x + LINEAR) * x;
    // Past this the exact result is nothing in float32, and an infinite x would give NaN.
    return exponent > EXP_HIGH ? 0 : (float) (x / (1 + StrictMath.exp(exponent)));
  }

  /** Replaces {@code count} elements by cap * tanh(x * factor / cap). */
  static void cap(long at, int count, float factor, float cap) {
    long a = at & ADDRESS;
    float scale = factor / cap;
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector z = FloatVector.fromMemorySegment(F, ALL, a + i * BYTES, LE).mul(scale);
      FloatVector x = z.abs().mul(-2);
      FloatVector shifted =
          x.fma(FloatVector.broadcast(F, LOG2_E), FloatVector.broadcast(F, ROUND));
      FloatVector n = shifted.sub(ROUND);
      FloatVector r = n.fma(FloatVector.broadcast(F, -LN2_HIGH), x);
      r = n.fma(FloatVector.broadcast(F, -LN2_LOW), r);
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
      FloatVector large = one.sub(e).div(one.add(e));
      large = large.blend(large.neg(), z.compare(VectorOperators.LT, 0f));
      FloatVector s = z.mul(z);
      FloatVector t = s.fma(FloatVector.broadcast(F, T5), FloatVector.broadcast(F, T4));
      t = t.fma(s, FloatVector.broadcast(F, T3));
      t = t.fma(s, FloatVector.broadcast(F, T2));
      t = t.fma(s, FloatVector.broadcast(F, T1));
      t = t.mul(s).fma(z, z);
      large
          .blend(t, z.abs().compare(VectorOperators.LT, SMALL))
          .mul(cap)
          .intoMemorySegment(ALL, a + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      double z = NativeMemory.get(a + i * 4L) * scale;
      NativeMemory.set(a + i * 4L, (float) (cap * StrictMath.tanh(z)));
    }
  }
}
