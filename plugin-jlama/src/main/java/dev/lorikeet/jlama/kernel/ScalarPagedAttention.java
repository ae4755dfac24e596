package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.AttentionBatch;
import dev.lorikeet.jlama.kernel.WeightMatrix.LittleEndian;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The plain twin of {@link VectorPagedAttention}: a token and a head at a time, with a running
 * maximum over the positions, in float64. Shards share out the tokens.
 */
final class ScalarPagedAttention implements PagedAttention {
  private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED;

  @Override
  public void write(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment k,
      long kStride,
      MemorySegment v,
      long vStride,
      MemorySegment pool,
      int shard,
      int shards) {
    int headDim = shape.headDim();
    for (int token = NativeMemory.firstOf(shard, shards, batch.tokens());
        token < NativeMemory.firstOf(shard + 1, shards, batch.tokens());
        token++) {
      int position = batch.position(token);
      int sequence = batch.sequenceOf(token);
      int number = position / shape.blockTokens();
      long block =
          PagedAttention.block(shape, batch, sequence, number, layer, pool) - pool.address();
      int place = position % shape.blockTokens();
      for (int head = 0; head < shape.kvHeads(); head++) {
        long key = block + shape.keyOffset(head, place);
        long value = block + shape.valueOffset(head, place);
        for (int i = 0; i < headDim; i++) {
          long at = ((long) head * headDim + i) * 4;
          store(pool, shape.type(), key, i, k.get(F32, token * kStride + at));
          store(pool, shape.type(), value, i, v.get(F32, token * vStride + at));
        }
      }
    }
  }

  private static void store(MemorySegment pool, ElementType type, long row, int i, float value) {
    if (type == ElementType.F32) {
      pool.set(LittleEndian.FLOAT, row + i * 4L, value);
    } else {
      pool.set(LittleEndian.SHORT, row + i * 2L, Float.floatToFloat16(value));
    }
  }

  @Override
  public void attend(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment pool,
      MemorySegment q,
      long qStride,
      MemorySegment out,
      long outStride,
      AttentionScratch scratch,
      int shard,
      int shards) {
    double[] sums = new double[shape.headDim()];
    for (int token = NativeMemory.firstOf(shard, shards, batch.tokens());
        token < NativeMemory.firstOf(shard + 1, shards, batch.tokens());
        token++) {
      for (int head = 0; head < shape.heads(); head++) {
        long qAt = token * qStride + (long) head * shape.headDim() * 4;
        double max = Double.NEGATIVE_INFINITY;
        double total = 0;
        java.util.Arrays.fill(sums, 0);
        for (int position = 0; position <= batch.position(token); position++) {
          long block =
              PagedAttention.block(
                      shape,
                      batch,
                      batch.sequenceOf(token),
                      position / shape.blockTokens(),
                      layer,
                      pool)
                  - pool.address();
          int kvHead = head / shape.group();
          int place = position % shape.blockTokens();
          long key = block + shape.keyOffset(kvHead, place);
          long value = block + shape.valueOffset(kvHead, place);
          double score = 0;
          for (int i = 0; i < shape.headDim(); i++) {
            score +=
                (double) q.get(F32, qAt + i * 4L)
                    * WeightMatrix.element(
                        pool, shape.type(), key + (long) i * shape.type().bytes());
          }
          score *= shape.scale();
          double newMax = Math.max(max, score);
          double shrink = Math.exp(max - newMax);
          double weight = Math.exp(score - newMax);
          max = newMax;
          total = total * shrink + weight;
          for (int i = 0; i < shape.headDim(); i++) {
            sums[i] =
                sums[i] * shrink
                    + weight
                        * WeightMatrix.element(
                            pool, shape.type(), value + (long) i * shape.type().bytes());
          }
        }
        for (int i = 0; i < shape.headDim(); i++) {
          out.set(
              F32,
              token * outStride + ((long) head * shape.headDim() + i) * 4,
              (float) (sums[i] / total));
        }
      }
    }
  }
}
