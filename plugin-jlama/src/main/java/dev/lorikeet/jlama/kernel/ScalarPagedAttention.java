package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.AttentionBatch;
import java.lang.foreign.MemorySegment;

/**
 * The plain twin of {@link VectorPagedAttention}: a token and a head at a time, with a running
 * maximum over the positions, in float64. Shards share out the tokens.
 */
final class ScalarPagedAttention implements PagedAttention {
  @Override
  public void write(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      Rows k,
      Rows v,
      MemorySegment pool,
      Shard shard) {
    int headDim = shape.headDim();
    long step = shape.type().bytes();
    k.check("k", batch.tokens(), shape.kvHeads() * headDim);
    v.check("v", batch.tokens(), shape.kvHeads() * headDim);
    for (int token = shard.first(batch.tokens()); token < shard.end(batch.tokens()); token++) {
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
          shape.type().write(pool, key + step * i, k.get(token, head * headDim + i));
          shape.type().write(pool, value + step * i, v.get(token, head * headDim + i));
        }
      }
    }
  }

  @Override
  public void attend(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      MemorySegment pool,
      Rows q,
      Rows out,
      AttentionScratch scratch,
      Shard shard) {
    int headDim = shape.headDim();
    q.check("q", batch.tokens(), shape.heads() * headDim);
    out.check("out", batch.tokens(), shape.heads() * headDim);
    double[] sums = new double[headDim];
    for (int token = shard.first(batch.tokens()); token < shard.end(batch.tokens()); token++) {
      for (int head = 0; head < shape.heads(); head++) {
        double max = Double.NEGATIVE_INFINITY;
        double total = 0;
        java.util.Arrays.fill(sums, 0);
        for (int position = shape.firstVisible(batch.position(token));
            position <= batch.position(token);
            position++) {
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
          for (int i = 0; i < headDim; i++) {
            score +=
                (double) q.get(token, head * headDim + i)
                    * shape.type().read(pool, key + (long) i * shape.type().bytes());
          }
          score *= shape.scale();
          if (shape.softCap() != 0) {
            score = shape.softCap() * Math.tanh(score / shape.softCap());
          }
          double newMax = Math.max(max, score);
          double shrink = Math.exp(max - newMax);
          double weight = Math.exp(score - newMax);
          max = newMax;
          total = total * shrink + weight;
          for (int i = 0; i < headDim; i++) {
            sums[i] =
                sums[i] * shrink
                    + weight * shape.type().read(pool, value + (long) i * shape.type().bytes());
          }
        }
        if (!shard.beginStore()) {
          return;
        }
        for (int i = 0; i < headDim; i++) {
          out.set(token, head * headDim + i, (float) (sums[i] / total));
        }
        shard.endStore();
      }
    }
  }
}
