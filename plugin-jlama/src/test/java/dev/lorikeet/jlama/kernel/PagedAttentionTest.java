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
    AttentionShape shape =
        new AttentionShape(
            kvHeads * (1 + random.nextInt(6)),
            kvHeads,
            dims[random.nextInt(dims.length)],
            1 + random.nextInt(40),
            random.nextBoolean() ? ElementType.F32 : ElementType.F16);
    if (random.nextBoolean()) {
      shape = shape.withWindow(randomWindow());
    }
    if (random.nextInt(3) == 0) {
      shape = shape.withSoftCap(0.5f + 5 * random.nextFloat());
    }
    return random.nextInt(3) == 0
        ? shape.withScale(shape.scale() * (0.5f + random.nextFloat()))
        : shape;
  }

  /** Within a group of 16 positions, a tile of 64, or wider; one is a token alone with itself. */
  private int randomWindow() {
    int[] most = {1, 16, 64, 200};
    return 1 + random.nextInt(most[random.nextInt(most.length)]);
  }

  /** Everything one test round needs: three sequences, written token by token, and queries. */
  private final class Round implements AutoCloseable {
    final Arena arena = Arena.ofConfined();
    final AttentionShape shape;
    final int[] lengths;
    final RaggedBatch batch;
    final MemorySegment pool;
    final Rows k;
    final Rows v;
    final Rows q;

    Round(AttentionShape shape) {
      this.shape = shape;
      lengths = new int[3];
      for (int s = 0; s < lengths.length; s++) {
        lengths[s] = 1 + random.nextInt(s == 0 ? 200 : 50);
      }
      batch = RaggedBatch.of(shape, random, lengths, lengths);
      pool = RaggedBatch.pool(arena, shape, lengths);
      int tokens = batch.tokens();
      k = RandomWeights.rows(arena, random, tokens, shape.kvHeads() * shape.headDim(), 0);
      v = RandomWeights.rows(arena, random, tokens, shape.kvHeads() * shape.headDim(), 0);
      q = RandomWeights.rows(arena, random, tokens, shape.heads() * shape.headDim(), 0);
    }

    /** The same keys, values and queries in other blocks. */
    Round(Round other, int blockTokens) {
      AttentionShape o = other.shape;
      shape =
          new AttentionShape(o.heads(), o.kvHeads(), o.headDim(), blockTokens, o.type())
              .withScale(o.scale())
              .withSoftCap(o.softCap())
              .withWindow(o.window());
      lengths = other.lengths;
      batch = RaggedBatch.of(shape, random, lengths, lengths);
      pool = RaggedBatch.pool(arena, shape, lengths);
      k = other.k;
      v = other.v;
      q = other.q;
    }

    void write(PagedAttention attention, MemorySegment to) {
      int shards = 1 + random.nextInt(3);
      for (int shard = 0; shard < shards; shard++) {
        attention.write(shape, batch, 0, k, v, to, new Shard(shard, shards));
      }
    }

    Rows attend(PagedAttention attention, RaggedBatch part, Rows queries, int shards) {
      return attend(attention, part, pool, queries, shards);
    }

    Rows attend(
        PagedAttention attention, RaggedBatch part, MemorySegment from, Rows queries, int shards) {
      Rows out = room(part);
      try (AttentionScratch scratch = new AttentionScratch(shape, shards)) {
        for (int shard = 0; shard < shards; shard++) {
          Shard mine = new Shard(shard, shards);
          attention.attend(shape, part, 0, from, queries, out, scratch, mine);
        }
      }
      return out;
    }

    /** Dense rows for the result of a batch. */
    Rows room(RaggedBatch part) {
      MemorySegment segment = arena.allocate(part.tokens() * q.stride(), 64);
      return Rows.dense(segment, part.tokens(), q.columns());
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
        MemorySegment expected =
            round.attend(new ScalarPagedAttention(), round.batch, round.q, 1).segment();
        MemorySegment found =
            round
                .attend(new VectorPagedAttention(), round.batch, round.q, 1 + random.nextInt(4))
                .segment();
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
    AttentionShape plain = new AttentionShape(4, 2, 16, 5, ElementType.F32);
    agreesWithTheDefinition(plain);
    agreesWithTheDefinition(plain.withScale(0.4f).withSoftCap(1.5f));
    agreesWithTheDefinition(plain.withWindow(1));
    agreesWithTheDefinition(plain.withWindow(7).withSoftCap(3));
  }

  private void agreesWithTheDefinition(AttentionShape shape) {
    try (Round round = new Round(shape)) {
      round.write(new ScalarPagedAttention(), round.pool);
      Rows found = round.attend(new ScalarPagedAttention(), round.batch, round.q, 2);
      for (int token = 0; token < round.batch.tokens(); token++) {
        int seen = Math.min(shape.window(), round.batch.position(token) + 1);
        int first = token + 1 - seen;
        for (int head = 0; head < 4; head++) {
          double[] weights = new double[token - first + 1];
          double total = 0;
          for (int j = first; j <= token; j++) {
            double score = 0;
            for (int i = 0; i < 16; i++) {
              score +=
                  (double) round.q.get(token, head * 16 + i) * round.k.get(j, head / 2 * 16 + i);
            }
            score *= shape.scale();
            if (shape.softCap() > 0) {
              score = shape.softCap() * Math.tanh(score / shape.softCap());
            }
            weights[j - first] = Math.exp(score);
            total += weights[j - first];
          }
          for (int i = 0; i < 16; i++) {
            double expected = 0;
            for (int j = first; j <= token; j++) {
              expected += weights[j - first] / total * round.v.get(j, head / 2 * 16 + i);
            }
            assertEquals(expected, found.get(token, head * 16 + i), 1e-6);
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
        Rows together =
            round.attend(new VectorPagedAttention(), round.batch, round.q, 1 + random.nextInt(4));
        int from = 0;
        while (from < round.batch.tokens()) {
          int to =
              Math.min(
                  round.batch.tokens(), from + 1 + random.nextInt(random.nextBoolean() ? 1 : 30));
          Rows part =
              round.attend(
                  new VectorPagedAttention(),
                  round.batch.slice(from, to),
                  RandomWeights.part(round.q, from, to - from),
                  1 + random.nextInt(3));
          assertEquals(
              -1,
              part.segment().mismatch(RandomWeights.part(together, from, to - from).segment()),
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
        Rows expected = round.attend(attention, round.batch, round.q, 1);
        Rows found = other.attend(attention, other.batch, other.q, 2);
        assertEquals(
            -1,
            expected.segment().mismatch(found.segment()),
            () -> "seed " + seed + " " + round.shape + other.shape);
      }
    }
  }

  @Test
  void whatLiesBeforeTheWindowIsNotRead() {
    for (int i = 0; i < 25; i++) {
      try (Round round = new Round(randomShape().withWindow(randomWindow()))) {
        round.write(new VectorPagedAttention(), round.pool);
        for (PagedAttention attention :
            new PagedAttention[] {new VectorPagedAttention(), new ScalarPagedAttention()}) {
          Rows all = round.attend(attention, round.batch, round.q, 1);
          for (int part = 0; part < 6; part++) {
            int from = random.nextInt(round.batch.tokens());
            int most = Math.min(round.batch.tokens() - from, part % 2 == 0 ? 1 : 60);
            int count = 1 + random.nextInt(most);
            MemorySegment pool =
                round.arena.allocate(round.pool.byteSize(), 64).copyFrom(round.pool);
            RaggedBatch batch = round.batch.slice(from, from + count).forgetful(round.shape, pool);
            Rows queries = RandomWeights.part(round.q, from, count);
            Rows found = round.attend(attention, batch, pool, queries, 1 + random.nextInt(3));
            assertEquals(
                -1,
                found.segment().mismatch(RandomWeights.part(all, from, count).segment()),
                () -> "seed " + seed + " " + round.shape);
          }
        }
      }
    }
  }

  @Test
  void aScratchServesShapesThatDifferInWindowsAndKeepsNothing() {
    PagedAttention attention = new VectorPagedAttention();
    for (int i = 0; i < 10; i++) {
      try (Round round = new Round(randomShape().withWindow(randomWindow()));
          AttentionScratch scratch = new AttentionScratch(round.shape, 1)) {
        MemorySegment undefined = round.arena.allocate(round.pool.byteSize(), 64);
        undefined.fill((byte) 0xff);
        round.write(attention, round.pool);
        AttentionShape open =
            round.shape.withWindow(AttentionShape.NO_WINDOW).withSoftCap(0).withScale(1);
        Rows out = round.room(round.batch);
        attention.attend(open, round.batch, 0, undefined, round.q, out, scratch, Shard.WHOLE);
        assertTrue(Float.isNaN(out.get(0, 0)), "seed " + seed);
        attention.attend(
            round.shape, round.batch, 0, round.pool, round.q, out, scratch, Shard.WHOLE);
        Rows expected = round.attend(attention, round.batch, round.q, 1);
        assertEquals(
            -1,
            expected.segment().mismatch(out.segment()),
            () -> "seed " + seed + " " + round.shape);
      }
    }
  }

  @Test
  void aWindowThatReachesEverythingIsNone() {
    PagedAttention attention = new VectorPagedAttention();
    AttentionShape shape = new AttentionShape(6, 2, 64, 13, ElementType.F16);
    try (Round round = new Round(shape)) {
      round.write(attention, round.pool);
      Rows expected = round.attend(attention, round.batch, round.q, 2);
      Rows found = round.room(round.batch);
      try (AttentionScratch scratch = new AttentionScratch(shape, 1)) {
        AttentionShape wide = shape.withWindow(round.batch.tokens());
        attention.attend(wide, round.batch, 0, round.pool, round.q, found, scratch, Shard.WHOLE);
      }
      assertEquals(-1, expected.segment().mismatch(found.segment()), () -> "seed " + seed);
    }
  }

  @Test
  void whatBinary16CannotHoldReachesNoOtherToken() {
    AttentionShape shape = new AttentionShape(6, 2, 64, 17, ElementType.F16);
    try (Round round = new Round(shape)) {
      int last = round.lengths[0] - 1;
      round.k.set(last, 0, Float.NaN);
      round.v.set(last, 2, 1e6f);
      for (int i = 0; i < 64; i++) {
        round.v.set(last / 2, i, 1e-7f * (i - 32));
      }
      round.write(new VectorPagedAttention(), round.pool);
      MemorySegment expected =
          round.attend(new ScalarPagedAttention(), round.batch, round.q, 1).segment();
      MemorySegment found =
          round.attend(new VectorPagedAttention(), round.batch, round.q, 2).segment();
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
    AttentionShape plain = new AttentionShape(6, 2, 64, 13, ElementType.F32);
    AttentionShape half = new AttentionShape(6, 2, 64, 13, ElementType.F16);
    for (AttentionShape shape :
        new AttentionShape[] {plain, half, half.withWindow(21).withSoftCap(2)}) {
      try (Round round = new Round(shape);
          AttentionScratch scratch = new AttentionScratch(shape, 1)) {
        PagedAttention attention = new VectorPagedAttention();
        Rows out = round.room(round.batch);
        int[] positions = new int[round.batch.tokens()];
        for (int t = 0; t < positions.length; t++) {
          positions[t] = round.batch.position(t);
        }
        long allocated = Long.MAX_VALUE;
        for (int attempt = 0; attempt < 600 && allocated >= 16; attempt++) {
          long before = threads.getCurrentThreadAllocatedBytes();
          for (int call = 0; call < 100; call++) {
            attention.write(shape, round.batch, 0, round.k, round.v, round.pool, Shard.WHOLE);
            attention.attend(shape, round.batch, 0, round.pool, round.q, out, scratch, Shard.WHOLE);
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
                        round.shape, round.batch, 0, round.k, round.v, small, Shard.WHOLE));
        assertTrue(String.valueOf(e.getMessage()).contains("not in the pool"));
      }
      var other = new AttentionShape(4, 1, 32, 4, ElementType.F16);
      Rows wide = Rows.allocate(round.arena, round.batch.tokens(), 4 * 32);
      assertThrows(
          IllegalArgumentException.class,
          () ->
              new VectorPagedAttention()
                  .attend(other, round.batch, 0, round.pool, wide, wide, scratch, Shard.WHOLE));
    }
    assertThrows(
        IllegalArgumentException.class, () -> new AttentionShape(3, 2, 8, 8, ElementType.F32));
    assertThrows(
        IllegalArgumentException.class, () -> new AttentionShape(2, 2, 8, 8, ElementType.BF16));
    AttentionShape shape = new AttentionShape(2, 2, 8, 8, ElementType.F16);
    for (float wrong : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
      assertThrows(IllegalArgumentException.class, () -> shape.withScale(wrong));
      assertThrows(IllegalArgumentException.class, () -> shape.withSoftCap(wrong));
    }
    assertThrows(IllegalArgumentException.class, () -> shape.withScale(0));
    assertThrows(IllegalArgumentException.class, () -> shape.withWindow(0));
  }
}
