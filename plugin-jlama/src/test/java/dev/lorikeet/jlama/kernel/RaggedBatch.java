package dev.lorikeet.jlama.kernel;

import dev.lorikeet.host.step.AttentionBatch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** A random ragged batch over a pool whose blocks are scattered. */
final class RaggedBatch implements AttentionBatch {
  private final List<Integer> sequences = new ArrayList<>();
  private final List<Integer> positions = new ArrayList<>();
  private final long[][] offsets;

  private RaggedBatch(long[][] offsets) {
    this.offsets = offsets;
  }

  /** Sequences of the given lengths whose last {@code chunks[s]} tokens are in the batch. */
  static RaggedBatch of(AttentionShape shape, Random random, int[] lengths, int[] chunks) {
    List<Integer> places = new ArrayList<>();
    int blocks = blocks(shape, lengths);
    for (int i = 0; i < blocks; i++) {
      places.add(i);
    }
    Collections.shuffle(places, random);
    long[][] offsets = new long[lengths.length][];
    int next = 0;
    RaggedBatch batch = new RaggedBatch(offsets);
    for (int s = 0; s < lengths.length; s++) {
      offsets[s] = new long[(lengths[s] + shape.blockTokens() - 1) / shape.blockTokens()];
      for (int b = 0; b < offsets[s].length; b++) {
        offsets[s][b] = places.get(next++) * shape.blockBytes();
      }
      for (int p = lengths[s] - chunks[s]; p < lengths[s]; p++) {
        batch.sequences.add(s);
        batch.positions.add(p);
      }
    }
    return batch;
  }

  static MemorySegment pool(Arena arena, AttentionShape shape, int[] lengths) {
    MemorySegment pool = arena.allocate(blocks(shape, lengths) * shape.blockBytes(), 64);
    // What nobody wrote must never be read: NaN in F32 and F16 alike.
    pool.fill((byte) 0xff);
    return pool;
  }

  private static int blocks(AttentionShape shape, int[] lengths) {
    int blocks = 0;
    for (int length : lengths) {
      blocks += (length + shape.blockTokens() - 1) / shape.blockTokens();
    }
    return blocks;
  }

  /** The same pages with other tokens: tokens {@code from} to {@code to} of this batch. */
  RaggedBatch slice(int from, int to) {
    RaggedBatch slice = new RaggedBatch(offsets);
    slice.sequences.addAll(sequences.subList(from, to));
    slice.positions.addAll(positions.subList(from, to));
    return slice;
  }

  /**
   * The same tokens once the cache has let go of what none of them sees: blocks wholly before the
   * window of a sequence's first token are nowhere, and what they held, and what lies before the
   * window in the block where it begins, is NaN.
   */
  RaggedBatch forgetful(AttentionShape shape, MemorySegment pool) {
    long[][] left = new long[offsets.length][];
    for (int s = 0; s < offsets.length; s++) {
      left[s] = offsets[s].clone();
      int token = sequences.indexOf(s);
      int begin = token < 0 ? 0 : shape.firstVisible(positions.get(token));
      for (int position = 0; position < begin; position++) {
        long block = offsets[s][position / shape.blockTokens()];
        int place = position % shape.blockTokens();
        for (int head = 0; head < shape.kvHeads(); head++) {
          long size = shape.headBytes();
          pool.asSlice(block + shape.keyOffset(head, place), size).fill((byte) 0xff);
          pool.asSlice(block + shape.valueOffset(head, place), size).fill((byte) 0xff);
        }
      }
      for (int block = 0; block < begin / shape.blockTokens(); block++) {
        left[s][block] = -1;
      }
    }
    RaggedBatch batch = new RaggedBatch(left);
    batch.sequences.addAll(sequences);
    batch.positions.addAll(positions);
    return batch;
  }

  @Override
  public int tokens() {
    return sequences.size();
  }

  @Override
  public int sequenceOf(int token) {
    return sequences.get(token);
  }

  @Override
  public int position(int token) {
    return positions.get(token);
  }

  @Override
  public long blockOffset(int sequence, int block, int layer) {
    return offsets[sequence][block];
  }
}
