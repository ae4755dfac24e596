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

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Gradients of elementwise operations on the Vector API. */
final class VectorBackElementwise implements BackElementwise {
  /*
   * With r = 1 / sqrt(mean(x^2) + epsilon) and y = r w x, of n elements:
   *   dx = r (w dy - x r^2 sum(w dy x) / n)
   * Both sums are taken in one pass as VectorElementwise takes its own, element i in lane i mod L, the lanes in order.
   * Lanes are read from an array, and what is left of a row is done one by one: with FloatVector.lane in a loop and
   * with masks the method was so large that C2 left some vector operations as calls, on objects, which cost a tenth of
   * a step of the 135 M shape (sampled).
   *
   * With s = 1 / (1 + exp(-g)) and y = g s u:
   *   dg = dy u s (1 + g (1 - s)),  du = dy g s
   * The exponential is VectorElementwise's, written out here too, since a vector that crosses a call is boxed.
   */

  @Override
  public void addRmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows dy, Rows dx, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long dya = dy.address("dy", tokens, columns);
    long dxa = dx.address("dx", tokens, columns);
    long wa = NativeMemory.address("weight", weight, 1, columns * 4L, 0);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      long to = dxa + token * dx.stride();
      rmsNorm(xa + token * x.stride(), wa, epsilon, dya + token * dy.stride(), to, columns, 1);
    }
  }

  @Override
  public void rmsNormHeads(
      Rows x, MemorySegment weight, float epsilon, Rows d, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long da = d.address("d", tokens, columns);
    int headDim = Elementwise.headDim(x, weight);
    long wa = NativeMemory.address("weight", weight, 1, headDim * 4L, 0);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      for (int from = 0; from < columns; from += headDim) {
        long head = da + token * d.stride() + from * 4L;
        rmsNorm(xa + token * x.stride() + from * 4L, wa, epsilon, head, head, headDim, 0);
      }
    }
  }

  /** {@code to = kept * to + gradient}; {@code to} may be {@code dy} if nothing of it is kept. */
  private static void rmsNorm(
      long from, long weight, float epsilon, long gradient, long to, int columns, int kept) {
    long x = from & ADDRESS;
    long w = weight & ADDRESS;
    long dy = gradient & ADDRESS;
    long dx = to & ADDRESS;
    int vectors = columns / L;
    FloatVector squares = FloatVector.zero(F);
    FloatVector products = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE);
      squares = value.fma(value, squares);
      products =
          FloatVector.fromMemorySegment(F, ALL, w + i * BYTES, LE)
              .mul(FloatVector.fromMemorySegment(F, ALL, dy + i * BYTES, LE))
              .fma(value, products);
    }
    float[] squareLanes = new float[L];
    float[] productLanes = new float[L];
    squares.intoArray(squareLanes, 0);
    products.intoArray(productLanes, 0);
    for (int i = vectors * L; i < columns; i++) {
      float value = NativeMemory.get(x + i * 4L);
      float product = NativeMemory.get(w + i * 4L) * NativeMemory.get(dy + i * 4L);
      int lane = i - vectors * L;
      squareLanes[lane] = Math.fma(value, value, squareLanes[lane]);
      productLanes[lane] = Math.fma(product, value, productLanes[lane]);
    }
    float squareSum = 0;
    float productSum = 0;
    for (int i = 0; i < L; i++) {
      squareSum += squareLanes[i];
      productSum += productLanes[i];
    }
    double r = 1 / Math.sqrt(squareSum / columns + epsilon);
    float scale = (float) r;
    float back = (float) (-r * r * r * productSum / columns);
    for (int i = 0; i < vectors; i++) {
      FloatVector sum =
          FloatVector.fromMemorySegment(F, ALL, w + i * BYTES, LE)
              .mul(FloatVector.fromMemorySegment(F, ALL, dy + i * BYTES, LE))
              .mul(scale);
      sum =
          FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE)
              .fma(FloatVector.broadcast(F, back), sum);
      if (kept != 0) {
        sum = sum.add(FloatVector.fromMemorySegment(F, ALL, dx + i * BYTES, LE));
      }
      sum.intoMemorySegment(ALL, dx + i * BYTES, LE);
    }
    for (int i = vectors * L; i < columns; i++) {
      float product = NativeMemory.get(w + i * 4L) * NativeMemory.get(dy + i * 4L) * scale;
      float sum = Math.fma(NativeMemory.get(x + i * 4L), back, product);
      NativeMemory.set(dx + i * 4L, kept != 0 ? sum + NativeMemory.get(dx + i * 4L) : sum);
    }
  }

  @Override
  public void rope(Rows d, RopeTable table, Positions positions, int tokens, Shard shard) {
    int headDim = table.headDim();
    int heads = table.heads(d);
    long da = d.address("d", tokens, heads * headDim);
    long cos = table.cos().segment().address();
    long sin = table.sin().segment().address();
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      long row = table.checkPosition(positions.position(token)) * table.cos().stride();
      for (int head = 0; head < heads; head++) {
        long at = da + token * d.stride() + (long) head * headDim * 4;
        rotate(at, table.half(), cos + row, sin + row);
      }
    }
  }

  private static void rotate(long head, int half, long cosRow, long sinRow) {
    long low = head & ADDRESS;
    long high = head + half * 4L & ADDRESS;
    long cos = cosRow & ADDRESS;
    long sin = sinRow & ADDRESS;
    int vectors = half / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector a = FloatVector.fromMemorySegment(F, ALL, low + i * BYTES, LE);
      FloatVector b = FloatVector.fromMemorySegment(F, ALL, high + i * BYTES, LE);
      FloatVector c = FloatVector.fromMemorySegment(F, ALL, cos + i * BYTES, LE);
      FloatVector s = FloatVector.fromMemorySegment(F, ALL, sin + i * BYTES, LE);
      a.mul(c).add(b.mul(s)).intoMemorySegment(ALL, low + i * BYTES, LE);
      b.mul(c).sub(a.mul(s)).intoMemorySegment(ALL, high + i * BYTES, LE);
    }
    for (int i = vectors * L; i < half; i++) {
      float a = NativeMemory.get(low + i * 4L);
      float b = NativeMemory.get(high + i * 4L);
      float c = NativeMemory.get(cos + i * 4L);
      float s = NativeMemory.get(sin + i * 4L);
      NativeMemory.set(low + i * 4L, a * c + b * s);
      NativeMemory.set(high + i * 4L, b * c - a * s);
    }
  }

  @Override
  public void swiGlu(Rows dy, Rows gate, Rows up, int tokens, Shard shard) {
    int columns = dy.columns();
    long da = dy.address("dy", tokens, columns);
    long ga = gate.address("gate", tokens, columns);
    long ua = up.address("up", tokens, columns);
    for (int token = shard.first(tokens); token < shard.end(tokens); token++) {
      swiGlu(
          da + token * dy.stride(), ga + token * gate.stride(), ua + token * up.stride(), columns);
    }
  }

  private static void swiGlu(long dy, long gate, long up, int count) {
    long da = dy & ADDRESS;
    long ga = gate & ADDRESS;
    long ua = up & ADDRESS;
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector g = FloatVector.fromMemorySegment(F, ALL, ga + i * BYTES, LE);
      FloatVector x = g.neg().min(EXP_HIGH);
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
      FloatVector s = one.div(e.add(1));
      FloatVector silu = g.mul(s);
      FloatVector d = FloatVector.fromMemorySegment(F, ALL, da + i * BYTES, LE);
      FloatVector u = FloatVector.fromMemorySegment(F, ALL, ua + i * BYTES, LE);
      silu.fma(one.sub(s), s).mul(u).mul(d).intoMemorySegment(ALL, ga + i * BYTES, LE);
      silu.mul(d).intoMemorySegment(ALL, ua + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      float g = NativeMemory.get(ga + i * 4L);
      float d = NativeMemory.get(da + i * 4L);
      double s = 1 / (1 + StrictMath.exp(-g));
      float slope = (float) (s * (1 + g * (1 - s)));
      NativeMemory.set(ga + i * 4L, slope * NativeMemory.get(ua + i * 4L) * d);
      NativeMemory.set(ua + i * 4L, (float) (g * s) * d);
    }
  }
}
