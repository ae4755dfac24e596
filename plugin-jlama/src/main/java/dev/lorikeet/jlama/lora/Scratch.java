package dev.lorikeet.jlama.lora;

import static dev.lorikeet.jlama.kernel.Lanes.BYTES;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.jlama.kernel.Lanes;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;

/**
 * One shard's working memory. Grown by the calling thread between runs, used by the shard alone.
 */
final class Scratch {
  /** Tokens whose packed inputs share the second-level cache: at most, whatever their width. */
  static final int MAX_TOKENS = 128;

  private static final long TARGET_FLOATS = 1 << 16;
  private static final int ALIGNMENT = 64;

  /** Address of the packed inputs of a tile of tokens. */
  long packed;

  /** Bytes from one token's packed input to the next one's. */
  long packedStride;

  /** Address of room for four widened rows. */
  long widened;

  /** Address of four zero-padded blocks of F32. */
  final long tail;

  /** Address of four vectors of sums for each token of a tile. */
  final long sums;

  /** The same for the tails. */
  final long tailSums;

  /** Address of one scale for each token of a tile. */
  final long scales;

  /** Address of the output sums of four tokens, a slice each. */
  final long outputs;

  private final Arena arena;
  private final long[] outputAddresses = new long[4];
  private int features;
  private int capacity;

  Scratch(Arena arena) {
    this.arena = arena;
    tail = allocate(4 * 2L * BYTES);
    sums = allocate(4L * MAX_TOKENS * BYTES);
    tailSums = allocate(4L * MAX_TOKENS * BYTES);
    scales = allocate(4L * MAX_TOKENS);
    outputs = allocate(4 * 4L * Lanes.blocks(ExpandKernel.SLICE) * Lanes.BLOCK);
  }

  /** Makes room for inputs of {@code padded} floats, block padding included. */
  void reserve(int padded) {
    if (padded > features) {
      features = Math.max(padded, 2 * features);
      capacity = (int) Math.max(4L * features, TARGET_FLOATS);
      packed = allocate(4L * capacity);
      widened = allocate(4 * 4L * Math.max(features, ExpandKernel.SLICE));
    }
  }

  /** Returns how many tokens of packed inputs of {@code padded} floats fit, a multiple of 4. */
  int tokensPerTile(int padded) {
    return Math.min(MAX_TOKENS, capacity / padded / 4 * 4);
  }

  /**
   * Packs the inputs of a tile of tokens for a factor, each of its diagonal blocks from a new
   * vector on.
   *
   * @param rows F32
   * @param e the first entry
   * @param count how many entries
   */
  void pack(LoraBatch batch, Tensor rows, LoraFactor factor, int e, int count) {
    int length = factor.rowLength();
    long blockBytes = Lanes.blocks(length) * 2L * BYTES;
    packedStride = factor.blocks() * blockBytes;
    for (int t = 0; t < count; t++) {
      long row = rows.segment().address() + batch.token(e + t) * rows.rowStrideBytes();
      for (int block = 0; block < factor.blocks(); block++) {
        RowPacking.pack(
            ElementType.F32,
            row + 4L * block * length,
            length,
            packed + t * packedStride + block * blockBytes,
            2L * BYTES,
            factor.type() != ElementType.F32,
            tail);
      }
    }
  }

  long outputAddress(int token) {
    return outputAddresses[token];
  }

  void outputAddress(int token, long address) {
    outputAddresses[token] = address;
  }

  private long allocate(long bytes) {
    return arena.allocate(bytes, ALIGNMENT).address();
  }
}
