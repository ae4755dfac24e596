package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.Positions;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The plain twin of {@link VectorElementwise}: transcendental functions and sums in float64. */
final class ScalarElementwise implements Elementwise {
  private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;

  @Override
  public void rmsNorm(
      MemorySegment x,
      long xStride,
      MemorySegment weight,
      float epsilon,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    for (int token = NativeMemory.firstOf(shard, shards, tokens);
        token < NativeMemory.firstOf(shard + 1, shards, tokens);
        token++) {
      double squares = 0;
      for (int i = 0; i < columns; i++) {
        double value = x.get(F32, token * xStride + i * 4L);
        squares += value * value;
      }
      float scale = (float) (1 / Math.sqrt(squares / columns + epsilon));
      for (int i = 0; i < columns; i++) {
        y.set(
            F32,
            token * yStride + i * 4L,
            x.get(F32, token * xStride + i * 4L) * scale * weight.get(F32, i * 4L));
      }
    }
  }

  @Override
  public void add(
      MemorySegment x,
      long xStride,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    for (int token = NativeMemory.firstOf(shard, shards, tokens);
        token < NativeMemory.firstOf(shard + 1, shards, tokens);
        token++) {
      for (int i = 0; i < columns; i++) {
        long at = token * yStride + i * 4L;
        y.set(F32, at, y.get(F32, at) + x.get(F32, token * xStride + i * 4L));
      }
    }
  }

  @Override
  public void addBias(
      MemorySegment bias,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    for (int token = 0; token < tokens; token++) {
      for (int i = NativeMemory.firstOf(shard, shards, columns);
          i < NativeMemory.firstOf(shard + 1, shards, columns);
          i++) {
        long at = token * yStride + i * 4L;
        y.set(F32, at, y.get(F32, at) + bias.get(F32, i * 4L));
      }
    }
  }

  @Override
  public void swiGlu(
      MemorySegment gate,
      long gateStride,
      MemorySegment up,
      long upStride,
      MemorySegment y,
      long yStride,
      int tokens,
      int columns,
      int shard,
      int shards) {
    for (int token = NativeMemory.firstOf(shard, shards, tokens);
        token < NativeMemory.firstOf(shard + 1, shards, tokens);
        token++) {
      for (int i = 0; i < columns; i++) {
        double g = gate.get(F32, token * gateStride + i * 4L);
        float silu = (float) (g / (1 + Math.exp(-g)));
        y.set(F32, token * yStride + i * 4L, silu * up.get(F32, token * upStride + i * 4L));
      }
    }
  }

  @Override
  public void rope(
      MemorySegment x,
      long xStride,
      int heads,
      int headDim,
      MemorySegment cos,
      MemorySegment sin,
      Positions positions,
      int tokens,
      int shard,
      int shards) {
    int half = headDim / 2;
    for (int token = NativeMemory.firstOf(shard, shards, tokens);
        token < NativeMemory.firstOf(shard + 1, shards, tokens);
        token++) {
      long row = (long) positions.position(token) * half;
      for (int head = 0; head < heads; head++) {
        for (int i = 0; i < half; i++) {
          long low = token * xStride + ((long) head * headDim + i) * 4;
          long high = low + half * 4L;
          float a = x.get(F32, low);
          float b = x.get(F32, high);
          float c = cos.get(F32, (row + i) * 4);
          float s = sin.get(F32, (row + i) * 4);
          x.set(F32, low, a * c - b * s);
          x.set(F32, high, b * c + a * s);
        }
      }
    }
  }

  @Override
  public void softmax(MemorySegment x, int columns) {
    double max = Double.NEGATIVE_INFINITY;
    for (int i = 0; i < columns; i++) {
      max = Math.max(max, x.get(F32, i * 4L));
    }
    double sum = 0;
    for (int i = 0; i < columns; i++) {
      sum += Math.exp(x.get(F32, i * 4L) - max);
    }
    for (int i = 0; i < columns; i++) {
      x.set(F32, i * 4L, (float) (Math.exp(x.get(F32, i * 4L) - max) / sum));
    }
  }

  @Override
  public int argmax(MemorySegment x, int columns) {
    int best = 0;
    float most = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < columns; i++) {
      float value = x.get(F32, i * 4L);
      if (value > most) {
        most = value;
        best = i;
      }
    }
    return best;
  }
}
