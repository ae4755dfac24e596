package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Elementwise operations on the Vector API. The last, partial vector of a run is handled by the
 * same operations under a mask, so an element's result does not depend on where in its row it lies.
 */
final class VectorElementwise implements Elementwise {
  /*
   * exp(x) = 2^n * exp(r) with n = round(x / ln 2), |r| <= ln(2) / 2, r computed with ln 2 in two parts (Cody and
   * Waite), exp(r) by the polynomial of degree 6 of Cephes' expf. n comes out of the low bits of x / ln 2 + 1.5 * 2^23.
   * The error is below 2 units in the last place; below -87.33 the result is 0, above 88.37 it is exp(88.37), NaN stays
   * NaN. Written out twice: C2 does not inline a method that it has already compiled to much code, and a vector that
   * crosses a call is boxed. Elements behind the last whole vector use StrictMath. (Cephes mathematical library, S. L.
   * Moshier.)
   *
   * Sums across a row are kept in one vector, element i in lane i mod L, and reduced in the order of the lanes.
   */
  static final float EXP_LOW = -87.33654f;
  static final float EXP_HIGH = 88.37626f;
  static final float LOG2_E = 1.44269504f;
  static final float ROUND = 12582912f;
  static final float LN2_HIGH = 0.693359375f;
  static final float LN2_LOW = -2.12194440e-4f;
  static final float C1 = 5.0000001201e-1f;
  static final float C2 = 1.6666665459e-1f;
  static final float C3 = 4.1665795894e-2f;
  static final float C4 = 8.3334519073e-3f;
  static final float C5 = 1.3981999507e-3f;
  static final float C6 = 1.9875691500e-4f;
  static final int ONE_BITS = 0x3f800000;

  /** Floats of a cache line. */
  private static final int LINE_FLOATS = 16;

  @Override
  public void rmsNorm(
      Rows x, MemorySegment weight, float epsilon, Rows y, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long ya = y.address("y", tokens, columns);
    long wa = NativeMemory.address("weight", weight, 1, columns * 4L, 0);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      NormKernels.rmsNorm(xa + token * x.stride(), wa, epsilon, ya + token * y.stride(), columns);
    }
  }

  @Override
  public void rmsNormHeads(Rows x, MemorySegment weight, float epsilon, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    int headDim = Elementwise.headDim(x, weight);
    long wa = NativeMemory.address("weight", weight, 1, headDim * 4L, 0);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      long row = xa + token * x.stride();
      for (int from = 0; from < columns; from += headDim) {
        NormKernels.rmsNorm(row + from * 4L, wa, epsilon, row + from * 4L, headDim);
      }
    }
  }

  @Override
  public void layerNorm(
      Rows x,
      MemorySegment weight,
      MemorySegment bias,
      float epsilon,
      Rows y,
      int tokens,
      Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long ya = y.address("y", tokens, columns);
    long wa = NativeMemory.address("weight", weight, 1, columns * 4L, 0);
    long ba = NativeMemory.address("bias", bias, 1, columns * 4L, 0);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      NormKernels.layerNorm(
          xa + token * x.stride(), wa, ba, epsilon, ya + token * y.stride(), columns);
    }
  }

  @Override
  public void add(Rows x, Rows y, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long ya = y.address("y", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      add(xa + token * x.stride(), ya + token * y.stride(), columns);
    }
  }

  @Override
  public void addScaled(Rows x, float factor, Rows y, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long ya = y.address("y", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      addScaled(xa + token * x.stride(), factor, ya + token * y.stride(), columns);
    }
  }

  private static void addScaled(long from, float factor, long to, int count) {
    long x = from & ADDRESS;
    long y = to & ADDRESS;
    int vectors = count / L;
    FloatVector factors = FloatVector.broadcast(F, factor);
    for (int i = 0; i < vectors; i++) {
      FloatVector sum = FloatVector.fromMemorySegment(F, ALL, y + i * BYTES, LE);
      FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE)
          .fma(factors, sum)
          .intoMemorySegment(ALL, y + i * BYTES, LE);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, count);
    if (rest.anyTrue()) {
      long tail = vectors * BYTES;
      FloatVector sum = FloatVector.fromMemorySegment(F, ALL, y + tail, LE, rest);
      FloatVector.fromMemorySegment(F, ALL, x + tail, LE, rest)
          .fma(factors, sum)
          .intoMemorySegment(ALL, y + tail, LE, rest);
    }
  }

  @Override
  public void addExperts(ExpertGroups groups, Rows outputs, Rows y, int tokens, Shard shard) {
    int columns = y.columns();
    long oa = outputs.address("outputs", tokens * groups.perToken(), columns);
    long ya = y.address("y", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      for (int index = 0; index < groups.perToken(); index++) {
        int entry = groups.entry(token, index);
        long from = oa + entry * outputs.stride();
        addScaled(from, groups.weight(entry), ya + token * y.stride(), columns);
      }
    }
  }

  @Override
  public void addBias(MemorySegment bias, Rows y, int tokens, Shard shard) {
    int columns = y.columns();
    long from = NativeMemory.address("bias", bias, 1, columns * 4L, 0);
    long ya = y.address("y", tokens, columns);
    int lines = (columns + LINE_FLOATS - 1) / LINE_FLOATS;
    int first = Math.min(columns, shard.first(lines) * LINE_FLOATS);
    int count = Math.min(columns, shard.end(lines) * LINE_FLOATS) - first;
    for (int token = 0; token < tokens; token++) {
      add(from + first * 4L, ya + token * y.stride() + first * 4L, count);
    }
  }

  @Override
  public void addAffine(MemorySegment slope, MemorySegment offset, float weight, Rows y, int row) {
    int columns = y.columns();
    long s = NativeMemory.address("slope", slope, 1, columns * 4L, 0) & ADDRESS;
    long o = NativeMemory.address("offset", offset, 1, columns * 4L, 0) & ADDRESS;
    long ya = (y.address("y", row + 1, columns) + row * y.stride()) & ADDRESS;
    FloatVector factor = FloatVector.broadcast(F, weight);
    int vectors = columns / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, ya + i * BYTES, LE);
      FloatVector.fromMemorySegment(F, ALL, s + i * BYTES, LE)
          .fma(value, FloatVector.fromMemorySegment(F, ALL, o + i * BYTES, LE))
          .fma(factor, value)
          .intoMemorySegment(ALL, ya + i * BYTES, LE);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    if (rest.anyTrue()) {
      long tail = vectors * BYTES;
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, ya + tail, LE, rest);
      FloatVector.fromMemorySegment(F, ALL, s + tail, LE, rest)
          .fma(value, FloatVector.fromMemorySegment(F, ALL, o + tail, LE, rest))
          .fma(factor, value)
          .intoMemorySegment(ALL, ya + tail, LE, rest);
    }
  }

  /** Adds floats at {@code from} to those at {@code to}. */
  private static void add(long from, long to, int count) {
    long x = from & ADDRESS;
    long y = to & ADDRESS;
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + i * BYTES, LE);
      FloatVector.fromMemorySegment(F, ALL, y + i * BYTES, LE)
          .add(value)
          .intoMemorySegment(ALL, y + i * BYTES, LE);
    }
    VectorMask<Float> rest = F.indexInRange(vectors * L, count);
    if (rest.anyTrue()) {
      long tail = vectors * BYTES;
      FloatVector value = FloatVector.fromMemorySegment(F, ALL, x + tail, LE, rest);
      FloatVector.fromMemorySegment(F, ALL, y + tail, LE, rest)
          .add(value)
          .intoMemorySegment(ALL, y + tail, LE, rest);
    }
  }

  /** An activation of a row, times a row of {@code up} unless that is 0. */
  private interface Activation {
    void apply(long x, long up, long to, int count);
  }

  private static void gated(
      Activation activation, Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    int columns = gate.columns();
    long ga = gate.address("gate", tokens, columns);
    long ua = up.address("up", tokens, columns);
    long ya = y.address("y", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      activation.apply(
          ga + token * gate.stride(), ua + token * up.stride(), ya + token * y.stride(), columns);
    }
  }

  private static void ungated(Activation activation, Rows x, Rows y, int tokens, Shard shard) {
    int columns = x.columns();
    long xa = x.address("x", tokens, columns);
    long ya = y.address("y", tokens, columns);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      activation.apply(xa + token * x.stride(), 0, ya + token * y.stride(), columns);
    }
  }

  @Override
  public void swiGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(VectorElementwise::swiGlu, gate, up, y, tokens, shard);
  }

  private static void swiGlu(long gate, long up, long to, int count) {
    long ga = gate & ADDRESS;
    long ua = up & ADDRESS;
    long ya = to & ADDRESS;
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
      FloatVector u = FloatVector.fromMemorySegment(F, ALL, ua + i * BYTES, LE);
      g.div(e.add(1)).mul(u).intoMemorySegment(ALL, ya + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      float g = ALL.get(ValueLayout.JAVA_FLOAT, ga + i * 4L);
      float silu = (float) (g / (1 + StrictMath.exp(-g)));
      ALL.set(
          ValueLayout.JAVA_FLOAT, ya + i * 4L, silu * ALL.get(ValueLayout.JAVA_FLOAT, ua + i * 4L));
    }
  }

  @Override
  public void geGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(TanhKernels::gelu, gate, up, y, tokens, shard);
  }

  @Override
  public void gelu(Rows x, Rows y, int tokens, Shard shard) {
    ungated(TanhKernels::gelu, x, y, tokens, shard);
  }

  @Override
  public void erfGeGlu(Rows gate, Rows up, Rows y, int tokens, Shard shard) {
    gated(ErfKernels::gelu, gate, up, y, tokens, shard);
  }

  @Override
  public void erfGelu(Rows x, Rows y, int tokens, Shard shard) {
    ungated(ErfKernels::gelu, x, y, tokens, shard);
  }

  /** Replaces {@code count} elements by exp(x - shift). */
  static void exp(long at, int count, float shift) {
    long a = at & ADDRESS;
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector x =
          FloatVector.fromMemorySegment(F, ALL, a + i * BYTES, LE).sub(shift).min(EXP_HIGH);
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
      p.mul(power)
          .blend(0f, x.compare(VectorOperators.LT, EXP_LOW))
          .intoMemorySegment(ALL, a + i * BYTES, LE);
    }
    for (int i = vectors * L; i < count; i++) {
      float x = ALL.get(ValueLayout.JAVA_FLOAT, a + i * 4L);
      ALL.set(ValueLayout.JAVA_FLOAT, a + i * 4L, (float) StrictMath.exp(x - shift));
    }
  }

  @Override
  public void rope(Rows x, RopeTable table, Positions positions, int tokens, Shard shard) {
    int headDim = table.headDim();
    int heads = table.heads(x);
    long xa = x.address("x", tokens, heads * headDim);
    long cos = table.cos().segment().address();
    long sin = table.sin().segment().address();
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      long row = table.checkPosition(positions.position(token)) * table.cos().stride();
      for (int head = 0; head < heads; head++) {
        long at = xa + token * x.stride() + (long) head * headDim * 4;
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
      a.mul(c).sub(b.mul(s)).intoMemorySegment(ALL, low + i * BYTES, LE);
      b.mul(c).add(a.mul(s)).intoMemorySegment(ALL, high + i * BYTES, LE);
    }
    for (int i = vectors * L; i < half; i++) {
      float a = ALL.get(ValueLayout.JAVA_FLOAT, low + i * 4L);
      float b = ALL.get(ValueLayout.JAVA_FLOAT, high + i * 4L);
      float c = ALL.get(ValueLayout.JAVA_FLOAT, cos + i * 4L);
      float s = ALL.get(ValueLayout.JAVA_FLOAT, sin + i * 4L);
      ALL.set(ValueLayout.JAVA_FLOAT, low + i * 4L, a * c - b * s);
      ALL.set(ValueLayout.JAVA_FLOAT, high + i * 4L, b * c + a * s);
    }
  }

  @Override
  public void softmax(Rows x, int row) {
    int columns = x.columns();
    long at = x.address("x", row + 1, columns) + row * x.stride() & ADDRESS;
    int vectors = columns / L;
    long tail = vectors * BYTES;
    VectorMask<Float> rest = F.indexInRange(vectors * L, columns);
    FloatVector most = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < vectors; i++) {
      most = most.max(FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE));
    }
    most =
        most.lanewise(
            VectorOperators.MAX, FloatVector.fromMemorySegment(F, ALL, at + tail, LE, rest), rest);
    float max = most.reduceLanes(VectorOperators.MAX);
    exp(at, columns, max);
    FloatVector sums = FloatVector.zero(F);
    for (int i = 0; i < vectors; i++) {
      sums = sums.add(FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE));
    }
    sums = sums.add(FloatVector.fromMemorySegment(F, ALL, at + tail, LE, rest));
    double sum = 0;
    for (int i = 0; i < L; i++) {
      sum += sums.lane(i);
    }
    float scale = (float) (1 / sum);
    for (int i = 0; i < vectors; i++) {
      FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE)
          .mul(scale)
          .intoMemorySegment(ALL, at + i * BYTES, LE);
    }
    FloatVector.fromMemorySegment(F, ALL, at + tail, LE, rest)
        .mul(scale)
        .intoMemorySegment(ALL, at + tail, LE, rest);
  }

  @Override
  public void cap(Rows x, int row, float factor, float cap) {
    Elementwise.checkCap(cap);
    int columns = x.columns();
    long at = x.address("x", row + 1, columns) + row * x.stride() & ADDRESS;
    if (cap != 0) {
      TanhKernels.cap(at, columns, factor, cap);
      return;
    }
    int vectors = columns / L;
    for (int i = 0; i < vectors; i++) {
      FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE)
          .mul(factor)
          .intoMemorySegment(ALL, at + i * BYTES, LE);
    }
    for (int i = vectors * L; i < columns; i++) {
      NativeMemory.set(at + i * 4L, NativeMemory.get(at + i * 4L) * factor);
    }
  }

  @Override
  public int argmax(Rows x, int row) {
    int columns = x.columns();
    long at = x.address("x", row + 1, columns) + row * x.stride() & ADDRESS;
    int vectors = columns / L;
    float most = Float.NEGATIVE_INFINITY;
    int best = 0;
    for (int i = 0; i < vectors; i++) {
      FloatVector values = FloatVector.fromMemorySegment(F, ALL, at + i * BYTES, LE);
      VectorMask<Float> larger = values.compare(VectorOperators.GT, most);
      if (larger.anyTrue()) {
        for (int lane = 0; lane < L; lane++) {
          float value = ALL.get(ValueLayout.JAVA_FLOAT, at + i * BYTES + lane * 4L);
          if (value > most) {
            most = value;
            best = i * L + lane;
          }
        }
      }
    }
    for (int i = vectors * L; i < columns; i++) {
      float value = ALL.get(ValueLayout.JAVA_FLOAT, at + i * 4L);
      if (value > most) {
        most = value;
        best = i;
      }
    }
    return best;
  }
}
