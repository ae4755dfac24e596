package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.AttentionTile.LANES;
import static dev.lorikeet.jlama.kernel.AttentionTile.TILE;
import static dev.lorikeet.jlama.kernel.AttentionTile.TOKENS;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;

import dev.lorikeet.host.step.AttentionBatch;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Paged attention on the Vector API. */
final class VectorPagedAttention implements PagedAttention {
  /*
   * Idea. Streaming softmax (Milakov and Gimelshein 2018, FlashAttention 2022) over the pages where they lie
   * (PagedAttention, SOSP 2023): a unit of work is a run of up to 16 adjacent tokens of a sequence and one key and
   * value head. It walks the positions once, in tiles of 64, wherever blocks begin and end, and keeps for each token
   * and query head the largest score, the sum of the weights and the weighted sum of the values. A decode token is a
   * run of one; in a prefill chunk 16 tokens times all query heads of the group share each key and value that is read
   * and widened.
   *
   * Layout. In a block what one head reads is contiguous, since rows of 128 bytes at a distance come from memory at a
   * third of the speed (Sapphire Rapids, per core: 14 ns a cache line instead of 5.5). Keys and values of a tile are
   * widened to float32 in scratch memory, evens before odds as matrix rows are (WeightTile), so that scores are the
   * products of 16 "rows" with the group's queries: the kernels of MatMul. The weighted sum adds position after
   * position (AttentionKernels), in the same split order; the result is joined again once at the end.
   *
   * Invariance. For a token the tiles, and the order within them, depend on its position alone. Positions behind a
   * token's own are cut off, not multiplied by zero, and so are those before its window: whole tiles, whole groups of
   * 16 of its first tile, and of the group where the window begins scores become -infinity and values are left out. A
   * run reads from the first position that its first token sees.
   *
   * Cost. Per position and key and value head: 2 headDim elements read and widened once for the run, 4 headDim flops
   * for each token and query head. Foreseen for 8 sequences of 512 positions of the 135 M model (9 query heads of 64 on
   * 3 key and value heads, F16, 30 layers, 94 MB) on two cores: 4 ms to read, 3 ms to compute, which add up as in
   * VectorMatMul. Measured: 8.9 ms (32 GFLOP/s), of which 4 are left when the cache holds everything; before, with
   * heads interleaved, tiles of 16 within blocks of 17 and an exact but longer widening, 16.4. A prefill of 256 tokens
   * behind 256 others: 70 ms (97 GFLOP/s), before 122. A largest score is found by comparing and choosing, which takes
   * a third of what max and reduceLanes take, since those order zeros and NaNs. Touching the next tile's lines while
   * computing gains nothing.
   */
  @Override
  public void write(
      AttentionShape shape,
      AttentionBatch batch,
      int layer,
      Rows k,
      Rows v,
      MemorySegment pool,
      Shard shard) {
    int tokens = batch.tokens();
    int width = shape.kvHeads() * shape.headDim();
    long ka = k.address("k", tokens, width);
    long va = v.address("v", tokens, width);
    int end = shard.end(tokens);
    for (int token = shard.first(tokens); token < end; token++) {
      int position = batch.position(token);
      long block =
          PagedAttention.block(
              shape, batch, batch.sequenceOf(token), position / shape.blockTokens(), layer, pool);
      int place = position % shape.blockTokens();
      for (int head = 0; head < shape.kvHeads(); head++) {
        long skip = 4L * head * shape.headDim();
        long key = block + shape.keyOffset(head, place);
        long value = block + shape.valueOffset(head, place);
        store(shape.type(), ka + token * k.stride() + skip, shape.headDim(), key);
        store(shape.type(), va + token * v.stride() + skip, shape.headDim(), value);
      }
    }
  }

  private static void store(ElementType type, long from, int count, long to) {
    if (type == ElementType.F32) {
      MemorySegment.copy(ALL, from, ALL, to, count * 4L);
    } else {
      for (int i = 0; i < count; i++) {
        ALL.set(
            ValueLayout.JAVA_SHORT_UNALIGNED,
            to + i * 2L,
            Float.floatToFloat16(ALL.get(ValueLayout.JAVA_FLOAT_UNALIGNED, from + i * 4L)));
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
    int tokens = batch.tokens();
    int width = shape.heads() * shape.headDim();
    q.check("q", tokens, width);
    out.check("out", tokens, width);
    long memory = scratch.of(shape, shard).address();
    AttentionTile tile = scratch.tile();
    long total = 0;
    for (int token = 0; token < tokens; token = endOfRun(batch, token)) {
      total += cost(shape, batch, token) * shape.kvHeads();
    }
    long done = 0;
    for (int token = 0; token < tokens; ) {
      int end = endOfRun(batch, token);
      long cost = cost(shape, batch, token);
      for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
        // A unit belongs to the shard in whose part of the total cost it begins.
        if (done * shard.count() / total == shard.index()) {
          if (!run(shape, tile, batch, layer, pool, token, end, kvHead, q, out, memory, shard)) {
            return;
          }
        }
        done += cost;
      }
      token = end;
    }
  }

  /** Returns the end of the run that begins at a token: the same sequence, at most TOKENS. */
  private static int endOfRun(AttentionBatch batch, int first) {
    int sequence = batch.sequenceOf(first);
    int most = Math.min(batch.tokens(), first + TOKENS);
    int end = first + 1;
    while (end < most && batch.sequenceOf(end) == sequence) {
      end++;
    }
    return end;
  }

  /** Returns the positions that the last token of a run sees, times the tokens. */
  private static long cost(AttentionShape shape, AttentionBatch batch, int first) {
    int end = endOfRun(batch, first);
    int last = batch.position(end - 1);
    return (last + 1L - shape.firstVisible(last)) * (end - first);
  }

  /** Returns whether the outcome could be stored. */
  private static boolean run(
      AttentionShape shape,
      AttentionTile tile,
      AttentionBatch batch,
      int layer,
      MemorySegment pool,
      int first,
      int end,
      int kvHead,
      Rows q,
      Rows out,
      long memory,
      Shard shard) {
    int slots = tile.slots();
    int group = shape.group();
    long headBytes = (long) kvHead * group * shape.headDim() * 4;
    for (int token = first; token < end; token++) {
      int slot = (token - first) * slots;
      packQueries(
          shape,
          q.segment().address() + token * q.stride() + headBytes,
          memory + tile.queries() + (long) slot * tile.padded() * 4);
      clear(tile, memory, slot, slots);
    }
    int sequence = batch.sequenceOf(first);
    int last = batch.position(end - 1);
    int begin = shape.firstVisible(batch.position(first));
    for (int from = begin / TILE * TILE; from <= last; from += TILE) {
      int count = Math.min(TILE, last + 1 - from);
      int skipped = Math.max(0, begin - from);
      gather(shape, tile, batch, sequence, layer, pool, kvHead, from, skipped, count, memory);
      for (int token = first; token < end; token++) {
        int position = batch.position(token);
        int hidden = Math.max(0, shape.firstVisible(position) - from);
        int visible = Math.min(count, position + 1 - from);
        if (visible > hidden) {
          step(shape, tile, (token - first) * slots, hidden, visible, memory);
        }
      }
    }
    if (!shard.beginStore()) {
      return false;
    }
    for (int token = first; token < end; token++) {
      for (int g = 0; g < group; g++) {
        long to = out.segment().address() + token * out.stride();
        AttentionKernels.finish(
            memory + tile.out() + ((long) (token - first) * slots + g) * tile.padded() * 4,
            memory + tile.state() + ((long) (token - first) * slots + g) * LANES * 4,
            shape.headDim(),
            to + headBytes + (long) g * shape.headDim() * 4);
      }
    }
    shard.endStore();
    return true;
  }

  /** Packs a token's query heads of a group as the kernels of MatMul read activations. */
  private static void packQueries(AttentionShape shape, long from, long to) {
    int group = shape.group();
    for (int g = 0; g < group; g++) {
      int block = g / MatMul.MAX_TOKEN_BLOCK * MatMul.MAX_TOKEN_BLOCK;
      int width = MatMul.blockWidth(group - block);
      long target = to + ((long) block * padded(shape) + (long) (g - block) * BLOCK) * 4;
      VectorMatMul.packToken(
          from + (long) g * shape.headDim() * 4, shape.headDim(), target, width * BLOCK_BYTES);
    }
  }

  private static long padded(AttentionShape shape) {
    return ActivationPanel.roundUp(shape.headDim(), BLOCK);
  }

  private static void clear(AttentionTile tile, long memory, int slot, int slots) {
    AttentionKernels.zero(memory + tile.state() + (long) slot * LANES * 4, slots * LANES);
    AttentionKernels.zero(
        memory + tile.out() + (long) slot * tile.padded() * 4, slots * tile.padded());
    for (int s = slot; s < slot + slots; s++) {
      ALL.set(ValueLayout.JAVA_FLOAT, memory + tile.max() + s * 4L, Float.NEGATIVE_INFINITY);
    }
  }

  /**
   * Widens the keys and values of the positions of a tile from {@code skipped} to {@code count},
   * from whatever blocks they lie in.
   */
  private static void gather(
      AttentionShape shape,
      AttentionTile tile,
      AttentionBatch batch,
      int sequence,
      int layer,
      MemorySegment pool,
      int kvHead,
      int from,
      int skipped,
      int count,
      long memory) {
    int blockTokens = shape.blockTokens();
    long rowBytes = tile.padded() * 4L;
    int rows;
    for (int done = skipped; done < count; done += rows) {
      int position = from + done;
      int place = position % blockTokens;
      rows = Math.min(count - done, blockTokens - place);
      long block =
          PagedAttention.block(shape, batch, sequence, position / blockTokens, layer, pool);
      long keys = block + shape.keyOffset(kvHead, place);
      long values = block + shape.valueOffset(kvHead, place);
      widen(shape, keys, rows, memory + tile.keys() + done * rowBytes, rowBytes);
      widen(shape, values, rows, memory + tile.values() + done * rowBytes, rowBytes);
    }
  }

  private static void widen(AttentionShape shape, long from, int rows, long to, long rowBytes) {
    if (shape.type() == ElementType.F16
        && rowBytes == shape.headDim() * 4L
        && WeightTile.widenFiniteF16(from, rows * (shape.headDim() / BLOCK), to)) {
      return;
    }
    WeightTile.widenRows(
        shape.type(), from, shape.headBytes(), rows, shape.headDim(), to, rowBytes);
  }

  /** Takes the positions of the tile from {@code first} to {@code end} into one token's slots. */
  private static void step(
      AttentionShape shape, AttentionTile tile, int slot, int first, int end, long memory) {
    int group = shape.group();
    long paddedBytes = tile.padded() * 4L;
    int skipped = first / LANES * LANES;
    int hidden = first - skipped;
    int visible = end - skipped;
    long keys = memory + tile.keys() + skipped * paddedBytes;
    long values = memory + tile.values() + (skipped + hidden) * paddedBytes;
    int blocks = (int) (padded(shape) / BLOCK);
    long queries = memory + tile.queries() + slot * paddedBytes;
    long sums = memory + tile.sums();
    long weights = memory + tile.weights() + skipped * 4L;
    for (int from = 0; from < visible; from += LANES) {
      int rows = Math.min(LANES, visible - from);
      for (int g = 0; g < group; g += MatMul.MAX_TOKEN_BLOCK) {
        int width = MatMul.blockWidth(group - g);
        for (int row = 0; row < rows; row += 4) {
          VectorMatMul.f32(
              width,
              keys + (from + row) * paddedBytes,
              paddedBytes,
              queries + (long) g * padded(shape) * 4,
              sums + (g * LANES + row) * BYTES,
              BYTES,
              blocks);
        }
      }
      for (int g = 0; g < group; g++) {
        for (int row = 0; row < rows; row += L) {
          Lanes.sums(sums + (g * LANES + row) * BYTES, weights + (g * TILE + from + row) * 4L, L);
        }
      }
    }
    int computed = AttentionTile.computed(visible);
    float scale = shape.scale();
    if (shape.softCap() != 0) {
      for (int g = 0; g < group; g++) {
        TanhKernels.cap(weights + (long) g * TILE * 4, computed, scale, shape.softCap());
      }
      scale = 1;
    }
    if (hidden > 0) {
      AttentionKernels.hide(weights, group, hidden);
    }
    long state = memory + tile.state() + (long) slot * LANES * 4;
    AttentionKernels.relate(
        weights,
        group,
        visible,
        scale,
        memory + tile.max() + slot * 4L,
        state,
        memory + tile.out() + slot * paddedBytes,
        paddedBytes);
    for (int g = 0; g < group; g++) {
      VectorElementwise.exp(weights + (long) g * TILE * 4, computed, 0);
    }
    AttentionKernels.addWeights(weights, group, computed, state);
    for (int g = 0; g < group; g += MatMul.MAX_TOKEN_BLOCK) {
      long out = memory + tile.out() + (slot + g) * paddedBytes;
      if (MatMul.blockWidth(group - g) == 4) {
        AttentionKernels.values4(
            weights + (long) g * TILE * 4 + hidden * 4L,
            visible - hidden,
            values,
            paddedBytes,
            out,
            blocks);
      } else {
        for (int single = g; single < group; single++) {
          AttentionKernels.values1(
              weights + (long) single * TILE * 4 + hidden * 4L,
              visible - hidden,
              values,
              paddedBytes,
              out + (single - g) * paddedBytes,
              blocks);
        }
      }
    }
  }
}
