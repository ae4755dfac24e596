package dev.lorikeet.jlama.kernel;

import static dev.lorikeet.jlama.kernel.Lanes.BLOCK;
import static dev.lorikeet.jlama.kernel.Lanes.BLOCK_BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.BYTES;
import static dev.lorikeet.jlama.kernel.Lanes.F;
import static dev.lorikeet.jlama.kernel.Lanes.L;
import static dev.lorikeet.jlama.kernel.Lanes.LE;
import static dev.lorikeet.jlama.kernel.NativeMemory.ADDRESS;
import static dev.lorikeet.jlama.kernel.NativeMemory.ALL;
import static dev.lorikeet.jlama.kernel.SequenceScratch.KEYS;
import static dev.lorikeet.jlama.kernel.SequenceScratch.QUERIES;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Attention within sequences on the Vector API. */
final class VectorSequenceAttention implements SequenceAttention {
  /*
   * Idea. A unit of work is a sequence and one key and value head. Its queries are taken 32 at a time, of one query
   * head after the other, against all positions that they see: a tile of scores [32, length], never the square. The
   * forward keeps of each row the logarithm of its sum of exponentials, from which the backward computes the weights
   * again, as FlashAttention does (Dao et al. 2022, sections 3.1 and B.2). With S = scale q k^T, P = exp(S - lse),
   * O = P V and D = rowsum(dO * O), it is
   *   dV += P^T dO,  dS = scale P * (dO V^T - D),  dQ = dS K,  dK += dS^T Q
   *
   * All seven products are sums of outer products (OuterKernels), whose left operand is read scalar by scalar in any
   * direction: P and P^T are the same memory. The right operand is read by rows, so keys and values are kept in two
   * orders: [position, headDim] and, for products over headDim, turned: [block of positions][headDim][block].
   *
   * Invariance. Tiles begin at the sequence's own first token; positions that a query does not see have weight 0.
   *
   * Cost. Forward 4, backward 10 headDim flops for each pair of a query and a position of its tile. Turning takes as
   * long as 8 queries. Parallelism ends at sequences * kvHeads.
   */
  @Override
  public void attend(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      SequenceScratch scratch,
      Shard shard) {
    int sequences = SequenceAttention.check(shape, starts, inputs, outputs);
    long memory = scratch.of(shape, starts, shard);
    long total = total(shape, starts);
    long done = 0;
    for (int s = 0; s < sequences; s++) {
      for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
        if (SequenceAttention.isMine(done, total, shard)
            && !attend(
                shape,
                starts[s],
                starts[s + 1] - starts[s],
                kvHead,
                inputs,
                outputs,
                scratch,
                memory,
                shard)) {
          return;
        }
        done += SequenceAttention.cost(starts[s + 1] - starts[s]);
      }
    }
  }

  private static long total(Shape shape, int[] starts) {
    long total = 0;
    for (int s = 0; s + 1 < starts.length; s++) {
      total += shape.kvHeads() * SequenceAttention.cost(starts[s + 1] - starts[s]);
    }
    return total;
  }

  /** Returns whether the outcome could be stored. */
  private static boolean attend(
      Shape shape,
      int start,
      int length,
      int kvHead,
      Inputs inputs,
      Outputs outputs,
      SequenceScratch at,
      long memory,
      Shard shard) {
    int d = shape.headDim();
    long skipped = (long) kvHead * d * Float.BYTES;
    turn(inputs.k(), start, length, skipped, d, memory + at.turnedKeys);
    copy(inputs.v(), start, length, skipped, d, memory + at.values, at.rowBytes);
    for (int head = kvHead * shape.group(); head < (kvHead + 1) * shape.group(); head++) {
      for (int from = 0; from < length; from += QUERIES) {
        int rows = Math.min(QUERIES, length - from);
        int low = shape.firstSeen(from) / KEYS * KEYS;
        int high = from + rows;
        long weights = memory + at.weights;
        long query = address(inputs.q(), start + from, head * d);
        products(
            query,
            inputs.q().stride(),
            rows,
            memory + at.turnedKeys,
            d,
            low,
            high,
            weights,
            at.scoreBytes);
        for (int i = 0; i < rows; i++) {
          int position = from + i;
          float lse =
              softmax(
                  weights + i * at.scoreBytes,
                  roundUp(high) - low,
                  shape.firstSeen(position) - low,
                  position + 1 - low,
                  shape.scale());
          NativeMemory.set(memory + at.dScores + i * 4L, lse);
        }
        zero(memory + at.sums, rows, at.rowBytes);
        for (long b = 0; b < at.rowBytes; b += BLOCK_BYTES) {
          OuterKernels.add(
              rows,
              weights,
              at.scoreBytes,
              Float.BYTES,
              memory + at.values + low * at.rowBytes + b,
              at.rowBytes,
              memory + at.sums + b,
              at.rowBytes,
              high - low);
        }
        if (!shard.beginStore()) {
          return false;
        }
        store(memory + at.sums, at.rowBytes, rows, d, outputs.out(), start + from, head * d);
        for (int i = 0; i < rows; i++) {
          long to = address(outputs.logSumExp(), start + from + i, head);
          NativeMemory.copy(memory + at.dScores + i * 4L, to, Float.BYTES);
        }
        shard.endStore();
      }
    }
    return true;
  }

  @Override
  public void back(
      Shape shape,
      int[] starts,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      Inputs gradients,
      SequenceScratch scratch,
      Shard shard) {
    int sequences = SequenceAttention.check(shape, starts, inputs, outputs);
    SequenceAttention.check(shape, starts[sequences], gradients);
    dOut.check("dOut", starts[sequences], shape.heads() * shape.headDim());
    long memory = scratch.of(shape, starts, shard);
    long total = total(shape, starts);
    long done = 0;
    for (int s = 0; s < sequences; s++) {
      for (int kvHead = 0; kvHead < shape.kvHeads(); kvHead++) {
        if (SequenceAttention.isMine(done, total, shard)
            && !back(
                shape,
                starts[s],
                starts[s + 1] - starts[s],
                kvHead,
                inputs,
                outputs,
                dOut,
                gradients,
                scratch,
                memory,
                shard)) {
          return;
        }
        done += SequenceAttention.cost(starts[s + 1] - starts[s]);
      }
    }
  }

  /** Returns whether the outcome could be stored. */
  private static boolean back(
      Shape shape,
      int start,
      int length,
      int kvHead,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      Inputs gradients,
      SequenceScratch at,
      long memory,
      Shard shard) {
    int d = shape.headDim();
    long skipped = (long) kvHead * d * Float.BYTES;
    turn(inputs.k(), start, length, skipped, d, memory + at.turnedKeys);
    turn(inputs.v(), start, length, skipped, d, memory + at.turnedValues);
    copy(inputs.k(), start, length, skipped, d, memory + at.keys, at.rowBytes);
    zero(memory + at.dKeys, length, at.rowBytes);
    zero(memory + at.dValues, length, at.rowBytes);
    for (int head = kvHead * shape.group(); head < (kvHead + 1) * shape.group(); head++) {
      for (int from = 0; from < length; from += QUERIES) {
        int rows = Math.min(QUERIES, length - from);
        backTile(shape, start, from, rows, head, inputs, outputs, dOut, at, memory);
        if (!shard.beginStore()) {
          return false;
        }
        store(memory + at.sums, at.rowBytes, rows, d, gradients.q(), start + from, head * d);
        shard.endStore();
      }
    }
    if (!shard.beginStore()) {
      return false;
    }
    store(memory + at.dKeys, at.rowBytes, length, d, gradients.k(), start, kvHead * d);
    store(memory + at.dValues, at.rowBytes, length, d, gradients.v(), start, kvHead * d);
    shard.endStore();
    return true;
  }

  /** Adds a tile's part to the gradients of keys and values, and sums those of its queries. */
  private static void backTile(
      Shape shape,
      int start,
      int from,
      int rows,
      int head,
      Inputs inputs,
      Outputs outputs,
      Rows dOut,
      SequenceScratch at,
      long memory) {
    int d = shape.headDim();
    int low = shape.firstSeen(from) / KEYS * KEYS;
    int high = from + rows;
    long weights = memory + at.weights;
    long dScores = memory + at.dScores;
    long columns = (long) head * d * Float.BYTES;
    copy(inputs.q(), start + from, rows, columns, d, memory + at.query, at.rowBytes);
    copy(dOut, start + from, rows, columns, d, memory + at.dOut, at.rowBytes);
    products(
        memory + at.query,
        at.rowBytes,
        rows,
        memory + at.turnedKeys,
        d,
        low,
        high,
        weights,
        at.scoreBytes);
    products(
        memory + at.dOut,
        at.rowBytes,
        rows,
        memory + at.turnedValues,
        d,
        low,
        high,
        dScores,
        at.scoreBytes);
    for (int i = 0; i < rows; i++) {
      int position = from + i;
      weigh(
          weights + i * at.scoreBytes,
          dScores + i * at.scoreBytes,
          roundUp(high) - low,
          shape.firstSeen(position) - low,
          position + 1 - low,
          shape.scale(),
          outputs.logSumExp().get(start + position, head),
          dot(
              memory + at.dOut + i * at.rowBytes,
              address(outputs.out(), start + position, head * d),
              d));
    }
    zero(memory + at.sums, rows, at.rowBytes);
    for (long b = 0; b < at.rowBytes; b += BLOCK_BYTES) {
      OuterKernels.add(
          rows,
          dScores,
          at.scoreBytes,
          Float.BYTES,
          memory + at.keys + low * at.rowBytes + b,
          at.rowBytes,
          memory + at.sums + b,
          at.rowBytes,
          high - low);
      // The tile read by columns: a "token" is a position, a step a query.
      OuterKernels.add(
          high - low,
          dScores,
          Float.BYTES,
          at.scoreBytes,
          memory + at.query + b,
          at.rowBytes,
          memory + at.dKeys + low * at.rowBytes + b,
          at.rowBytes,
          rows);
      OuterKernels.add(
          high - low,
          weights,
          Float.BYTES,
          at.scoreBytes,
          memory + at.dOut + b,
          at.rowBytes,
          memory + at.dValues + low * at.rowBytes + b,
          at.rowBytes,
          rows);
    }
  }

  private static long address(Rows rows, int row, int column) {
    return rows.segment().address() + row * rows.stride() + column * 4L;
  }

  private static int roundUp(int positions) {
    return (int) ActivationPanel.roundUp(positions, KEYS);
  }

  /** Products of some rows with turned positions {@code [low, high)}, to whole blocks of them. */
  private static void products(
      long left,
      long leftBytes,
      int rows,
      long turned,
      int d,
      int low,
      int high,
      long to,
      long toBytes) {
    for (int i = 0; i < rows; i++) {
      Lanes.zeroBlocks(to + i * toBytes, (roundUp(high) - low) / BLOCK);
    }
    for (int position = low; position < high; position += BLOCK) {
      OuterKernels.add(
          rows,
          left,
          leftBytes,
          Float.BYTES,
          turned + position * 4L * d,
          BLOCK_BYTES,
          to + (position - low) * 4L,
          toBytes,
          d);
    }
  }

  /**
   * Turns heads: element i of position p goes to block {@code p / BLOCK}, row i, place {@code p %
   * BLOCK}; places behind the last position are zero.
   */
  private static void turn(Rows from, int start, int length, long skipped, int d, long to) {
    int padded = roundUp(length);
    for (int position = 0; position < padded; position++) {
      long target = to + ((long) position / BLOCK * d * BLOCK + position % BLOCK) * 4;
      long source = from.segment().address() + (start + position) * from.stride() + skipped;
      for (int i = 0; i < d; i++) {
        float value = position < length ? NativeMemory.get(source + i * 4L) : 0;
        NativeMemory.set(target + i * BLOCK_BYTES, value);
      }
    }
  }

  /** Copies heads to rows that are padded with zeros. */
  private static void copy(
      Rows from, int start, int length, long skipped, int d, long to, long rowBytes) {
    for (int position = 0; position < length; position++) {
      long target = to + position * rowBytes;
      NativeMemory.copy(
          from.segment().address() + (start + position) * from.stride() + skipped, target, d * 4L);
      for (long rest = d * 4L; rest < rowBytes; rest += 4) {
        NativeMemory.set(target + rest, 0);
      }
    }
  }

  private static void zero(long at, int rows, long rowBytes) {
    Lanes.zeroBlocks(at, (int) (rows * rowBytes / BLOCK_BYTES));
  }

  private static void store(
      long from, long rowBytes, int count, int d, Rows to, int row, int column) {
    for (int i = 0; i < count; i++) {
      NativeMemory.copy(from + i * rowBytes, address(to, row + i, column), d * 4L);
    }
  }

  /**
   * Replaces a row of unscaled scores by their softmax over {@code [first, end)}, zero elsewhere up
   * to {@code count}, a multiple of 32, and returns the logarithm of the sum of exponentials.
   */
  private static float softmax(long row, int count, int first, int end, float scale) {
    long at = row & ADDRESS;
    FloatVector highest = FloatVector.broadcast(F, Float.NEGATIVE_INFINITY);
    for (int i = 0; i < count; i += L) {
      FloatVector s = FloatVector.fromMemorySegment(F, ALL, at + i * 4L, LE).mul(scale);
      if (i < first || i + L > end) {
        s =
            s.blend(
                Float.NEGATIVE_INFINITY, F.indexInRange(i, end).not().or(F.indexInRange(i, first)));
      }
      s.intoMemorySegment(ALL, at + i * 4L, LE);
      highest = highest.blend(s, s.compare(VectorOperators.GT, highest));
    }
    float max = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < L; i++) {
      max = highest.lane(i) > max ? highest.lane(i) : max;
    }
    VectorElementwise.exp(at, count, max);
    FloatVector sums = FloatVector.zero(F);
    for (int i = 0; i < count; i += L) {
      sums = sums.add(FloatVector.fromMemorySegment(F, ALL, at + i * 4L, LE));
    }
    double sum = 0;
    for (int i = 0; i < L; i++) {
      sum += sums.lane(i);
    }
    float factor = (float) (1 / sum);
    for (int i = 0; i < count; i += L) {
      FloatVector.fromMemorySegment(F, ALL, at + i * 4L, LE)
          .mul(factor)
          .intoMemorySegment(ALL, at + i * 4L, LE);
    }
    return (float) (max + StrictMath.log(sum));
  }

  /**
   * From a row of unscaled scores and one of gradients of the weights to the weights and the
   * gradients of the unscaled scores, over {@code [first, end)}; zero elsewhere.
   *
   * @param shift the sum of the products of the weights and their gradients
   */
  private static void weigh(
      long weights,
      long gradients,
      int count,
      int first,
      int end,
      float scale,
      float logSumExp,
      float shift) {
    long w = weights & ADDRESS;
    long g = gradients & ADDRESS;
    for (int i = 0; i < count; i += L) {
      FloatVector s = FloatVector.fromMemorySegment(F, ALL, w + i * 4L, LE).mul(scale);
      if (i < first || i + L > end) {
        s =
            s.blend(
                Float.NEGATIVE_INFINITY, F.indexInRange(i, end).not().or(F.indexInRange(i, first)));
      }
      s.intoMemorySegment(ALL, w + i * 4L, LE);
    }
    VectorElementwise.exp(w, count, logSumExp);
    for (int i = 0; i < count; i += L) {
      FloatVector.fromMemorySegment(F, ALL, g + i * 4L, LE)
          .sub(shift)
          .mul(FloatVector.fromMemorySegment(F, ALL, w + i * 4L, LE))
          .mul(scale)
          .intoMemorySegment(ALL, g + i * 4L, LE);
    }
  }

  private static float dot(long x, long y, int count) {
    long xa = x & ADDRESS;
    long ya = y & ADDRESS;
    FloatVector sums = FloatVector.zero(F);
    int vectors = count / L;
    for (int i = 0; i < vectors; i++) {
      sums =
          FloatVector.fromMemorySegment(F, ALL, xa + i * BYTES, LE)
              .fma(FloatVector.fromMemorySegment(F, ALL, ya + i * BYTES, LE), sums);
    }
    float sum = 0;
    for (int i = 0; i < L; i++) {
      sum += sums.lane(i);
    }
    for (int i = vectors * L; i < count; i++) {
      sum += NativeMemory.get(xa + i * 4L) * NativeMemory.get(ya + i * 4L);
    }
    return sum;
  }
}
