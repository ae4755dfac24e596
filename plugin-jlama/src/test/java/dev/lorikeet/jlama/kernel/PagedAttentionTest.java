package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PagedAttentionTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private AttentionShape randomShape() {
    int kvHeads = 1 + random.nextInt(3);
    int[] dims = {8, 16, 30, 32, 64, 80};
    return new AttentionShape(
        kvHeads * (1 + random.nextInt(6)),
        kvHeads,
        dims[random.nextInt(dims.length)],
        1 + random.nextInt(40),
        random.nextBoolean() ? ElementType.F32 : ElementType.F16);
  }

  /** Everything one test round needs: three sequences, written token by token, and queries. */
  private final class Round implements AutoCloseable {
    final Arena arena = Arena.ofConfined();
    final AttentionShape shape;
    final int[] lengths;
    final RaggedBatch batch;
    final MemorySegment pool;
    final MemorySegment k;
    final MemorySegment v;
    final MemorySegment q;
    final long kvBytes;
    final long qBytes;

    Round(AttentionShape shape) {
      this.shape = shape;
      lengths = new int[3];
      for (int s = 0; s < lengths.length; s++) {
        lengths[s] = 1 + random.nextInt(s == 0 ? 200 : 50);
      }
      batch = RaggedBatch.of(shape, random, lengths, lengths);
      pool = RaggedBatch.pool(arena, shape, lengths);
      kvBytes = (long) shape.kvHeads() * shape.headDim() * 4;
      qBytes = (long) shape.heads() * shape.headDim() * 4;
      k = RandomWeights.floats(arena, random, batch.tokens() * kvBytes / 4);
      v = RandomWeights.floats(arena, random, batch.tokens() * kvBytes / 4);
      q = RandomWeights.floats(arena, random, batch.tokens() * qBytes / 4);
    }

    /** The same keys, values and queries in other blocks. */
    Round(Round other, int blockTokens) {
      AttentionShape o = other.shape;
      shape = new AttentionShape(o.heads(), o.kvHeads(), o.headDim(), blockTokens, o.type());
      lengths = other.lengths;
      batch = RaggedBatch.of(shape, random, lengths, lengths);
      pool = RaggedBatch.pool(arena, shape, lengths);
      kvBytes = other.kvBytes;
      qBytes = other.qBytes;
      k = other.k;
      v = other.v;
      q = other.q;
    }

    void write(PagedAttention attention, MemorySegment to) {
      int shards = 1 + random.nextInt(3);
      for (int shard = 0; shard < shards; shard++) {
        attention.write(shape, batch, 0, k, kvBytes, v, kvBytes, to, shard, shards);
      }
    }

    MemorySegment attend(
        PagedAttention attention, RaggedBatch part, MemorySegment queries, int shards) {
      MemorySegment out = arena.allocate(part.tokens() * qBytes, 64);
      try (AttentionScratch scratch = new AttentionScratch(shape, shards)) {
        for (int shard = 0; shard < shards; shard++) {
          attention.attend(
              shape, part, 0, pool, queries, qBytes, out, qBytes, scratch, shard, shards);
        }
      }
      return out;
    }

    @Override
    public void close() {
      arena.close();
    }
  }

  @Test
  void attentionAgreesWithFloat64() {
    for (int i = 0; i < 12; i++) {
      try (Round round = new Round(randomShape())) {
        round.write(new VectorPagedAttention(), round.pool);
        MemorySegment expected = round.attend(new ScalarPagedAttention(), round.batch, round.q, 1);
        MemorySegment found =
            round.attend(new VectorPagedAttention(), round.batch, round.q, 1 + random.nextInt(4));
        for (long at = 0; at < expected.byteSize(); at += 4) {
          float e = expected.get(ValueLayout.JAVA_FLOAT, at);
          float f = found.get(ValueLayout.JAVA_FLOAT, at);
          long where = at;
          assertTrue(
              Math.abs(e - f) <= 2e-5,
              () ->
                  "seed "
                      + seed
                      + " "
                      + round.shape
                      + " at "
                      + where
                      + ": expected "
                      + e
                      + ", found "
                      + f);
        }
      }
    }
  }

  @Test
  void theScalarTwinAgreesWithTheDefinition() {
    try (Round round = new Round(new AttentionShape(4, 2, 16, 5, ElementType.F32))) {
      round.write(new ScalarPagedAttention(), round.pool);
      MemorySegment found = round.attend(new ScalarPagedAttention(), round.batch, round.q, 2);
      for (int token = 0; token < round.batch.tokens(); token++) {
        int first = token - round.batch.position(token);
        for (int head = 0; head < 4; head++) {
          double[] weights = new double[token - first + 1];
          double total = 0;
          for (int j = first; j <= token; j++) {
            double score = 0;
            for (int i = 0; i < 16; i++) {
              score +=
                  (double) round.q.getAtIndex(ValueLayout.JAVA_FLOAT, (token * 4L + head) * 16 + i)
                      * round.k.getAtIndex(ValueLayout.JAVA_FLOAT, (j * 2L + head / 2) * 16 + i);
            }
            weights[j - first] = Math.exp(score / 4);
            total += weights[j - first];
          }
          for (int i = 0; i < 16; i++) {
            double expected = 0;
            for (int j = first; j <= token; j++) {
              expected +=
                  weights[j - first]
                      / total
                      * round.v.getAtIndex(ValueLayout.JAVA_FLOAT, (j * 2L + head / 2) * 16 + i);
            }
            assertEquals(
                expected,
                found.getAtIndex(ValueLayout.JAVA_FLOAT, (token * 4L + head) * 16 + i),
                1e-6);
          }
        }
      }
    }
  }

  @Test
  void aTokensResultDoesNotDependOnItsChunkOrTheShards() {
    for (int i = 0; i < 25; i++) {
      try (Round round = new Round(randomShape())) {
        round.write(new VectorPagedAttention(), round.pool);
        MemorySegment together =
            round.attend(new VectorPagedAttention(), round.batch, round.q, 1 + random.nextInt(4));
        int from = 0;
        while (from < round.batch.tokens()) {
          int to =
              Math.min(
                  round.batch.tokens(), from + 1 + random.nextInt(random.nextBoolean() ? 1 : 30));
          MemorySegment part =
              round.attend(
                  new VectorPagedAttention(),
                  round.batch.slice(from, to),
                  round.q.asSlice(from * round.qBytes),
                  1 + random.nextInt(3));
          assertEquals(
              -1,
              part.mismatch(together.asSlice(from * round.qBytes, part.byteSize())),
              () -> "seed " + seed + " " + round.shape);
          from = to;
        }
      }
    }
  }

  @Test
  void aTokensResultDoesNotDependOnTheBlocks() {
    PagedAttention attention = new VectorPagedAttention();
    for (int i = 0; i < 10; i++) {
      try (Round round = new Round(randomShape());
          Round other = new Round(round, 1 + random.nextInt(100))) {
        round.write(attention, round.pool);
        other.write(attention, other.pool);
        MemorySegment expected = round.attend(attention, round.batch, round.q, 1);
        MemorySegment found = other.attend(attention, other.batch, other.q, 2);
        assertEquals(
            -1, expected.mismatch(found), () -> "seed " + seed + " " + round.shape + other.shape);
      }
    }
  }

  @Test
  void whatBinary16CannotHoldReachesNoOtherToken() {
    AttentionShape shape = new AttentionShape(6, 2, 64, 17, ElementType.F16);
    try (Round round = new Round(shape)) {
      int last = round.lengths[0] - 1;
      round.k.set(ValueLayout.JAVA_FLOAT, last * round.kvBytes, Float.NaN);
      round.v.set(ValueLayout.JAVA_FLOAT, last * round.kvBytes + 8, 1e6f);
      for (int i = 0; i < 64; i++) {
        round.v.set(ValueLayout.JAVA_FLOAT, last / 2 * round.kvBytes + 4L * i, 1e-7f * (i - 32));
      }
      round.write(new VectorPagedAttention(), round.pool);
      MemorySegment expected = round.attend(new ScalarPagedAttention(), round.batch, round.q, 1);
      MemorySegment found = round.attend(new VectorPagedAttention(), round.batch, round.q, 2);
      int undefined = 0;
      for (long at = 0; at < expected.byteSize(); at += 4) {
        float e = expected.get(ValueLayout.JAVA_FLOAT, at);
        assertEquals(e, found.get(ValueLayout.JAVA_FLOAT, at), 2e-5f, "seed " + seed + " at " + at);
        undefined += Float.isNaN(e) ? 1 : 0;
      }
      assertEquals(3 * 64, undefined, "the heads of one token that share the key");
    }
  }

  @Test
  void everyFiniteBinary16IsWidenedAndOthersAreNoticed() {
    try (Arena arena = Arena.ofConfined()) {
      int block = Lanes.BLOCK;
      MemorySegment from = arena.allocate(2L * block, 64);
      MemorySegment to = arena.allocate(4L * block, 64);
      for (int bits = 0; bits < 1 << 16; bits++) {
        int place = bits % block;
        from.fill((byte) 0);
        from.setAtIndex(ValueLayout.JAVA_SHORT, place, (short) bits);
        float expected = Float.float16ToFloat((short) bits);
        assertEquals(
            Float.isFinite(expected), WeightTile.widenFiniteF16(from.address(), 1, to.address()));
        if (Float.isFinite(expected)) {
          float found = to.get(ValueLayout.JAVA_FLOAT, WeightTile.place(place));
          assertEquals(Float.floatToRawIntBits(expected), Float.floatToRawIntBits(found));
        }
      }
    }
  }

  @Test
  void keysAndValuesAreStoredAsTheScalarTwinStoresThem() {
    for (int i = 0; i < 10; i++) {
      try (Round round = new Round(randomShape())) {
        MemorySegment other = round.arena.allocate(round.pool.byteSize(), 64).copyFrom(round.pool);
        round.write(new VectorPagedAttention(), round.pool);
        round.write(new ScalarPagedAttention(), other);
        assertEquals(-1, round.pool.mismatch(other), () -> "seed " + seed + " " + round.shape);
      }
    }
  }

  @Test
  void aWarmCallAllocatesNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    for (ElementType type : new ElementType[] {ElementType.F32, ElementType.F16}) {
      AttentionShape shape = new AttentionShape(6, 2, 64, 13, type);
      try (Round round = new Round(shape);
          AttentionScratch scratch = new AttentionScratch(shape, 1)) {
        PagedAttention attention = new VectorPagedAttention();
        MemorySegment out = round.arena.allocate(round.batch.tokens() * round.qBytes, 64);
        int[] positions = new int[round.batch.tokens()];
        for (int t = 0; t < positions.length; t++) {
          positions[t] = round.batch.position(t);
        }
        long allocated = Long.MAX_VALUE;
        for (int attempt = 0; attempt < 600 && allocated >= 16; attempt++) {
          long before = threads.getCurrentThreadAllocatedBytes();
          for (int call = 0; call < 100; call++) {
            attention.write(
                shape,
                round.batch,
                0,
                round.k,
                round.kvBytes,
                round.v,
                round.kvBytes,
                round.pool,
                0,
                1);
            attention.attend(
                shape,
                round.batch,
                0,
                round.pool,
                round.q,
                round.qBytes,
                out,
                round.qBytes,
                scratch,
                0,
                1);
          }
          allocated = (threads.getCurrentThreadAllocatedBytes() - before) / 100;
        }
        assertTrue(allocated < 16, "allocated " + allocated + " bytes per call, " + shape);
      }
    }
  }

  @Test
  void aBlockOutsideThePoolIsRefused() {
    try (Round round = new Round(new AttentionShape(2, 1, 32, 4, ElementType.F16));
        AttentionScratch scratch = new AttentionScratch(round.shape, 1)) {
      MemorySegment small = round.pool.asSlice(0, round.shape.blockBytes() - 1);
      for (PagedAttention attention :
          new PagedAttention[] {new VectorPagedAttention(), new ScalarPagedAttention()}) {
        var e =
            assertThrows(
                IllegalArgumentException.class,
                () ->
                    attention.write(
                        round.shape,
                        round.batch,
                        0,
                        round.k,
                        round.kvBytes,
                        round.v,
                        round.kvBytes,
                        small,
                        0,
                        1));
        assertTrue(String.valueOf(e.getMessage()).contains("not in the pool"));
      }
      var other = new AttentionShape(4, 1, 32, 4, ElementType.F16);
      assertThrows(
          IllegalArgumentException.class,
          () ->
              new VectorPagedAttention()
                  .attend(
                      other,
                      round.batch,
                      0,
                      round.pool,
                      round.q,
                      512,
                      round.q,
                      512,
                      scratch,
                      0,
                      1));
    }
    assertThrows(
        IllegalArgumentException.class, () -> new AttentionShape(3, 2, 8, 8, ElementType.F32));
    assertThrows(
        IllegalArgumentException.class, () -> new AttentionShape(2, 2, 8, 8, ElementType.BF16));
  }
}
