package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class BackMatMulTest {
  private static final int[] TOKENS = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 37, 129, 150};
  private static final List<BlockType> BLOCKS = List.of(BlockType.values());
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private WeightMatrix matrix(Arena arena, int kind, int rows, int columns) {
    return switch (kind) {
      case 0 -> RandomWeights.matrix(arena, random, ElementType.BF16, rows, columns);
      case 1 -> RandomWeights.matrix(arena, random, ElementType.F16, rows, columns);
      case 2 -> RandomWeights.matrix(arena, random, ElementType.F32, rows, columns);
      case 3 -> RandomWeights.q4(arena, random, rows, columns);
      default -> {
        BlockType type = BLOCKS.get(kind - 4);
        yield RandomWeights.blocks(arena, random, type, rows, columns, 0.01);
      }
    };
  }

  /** One to three products of as many columns; whole blocks where weights are in blocks. */
  private List<BackMatMul.Term> terms(Arena arena, int tokens) {
    int kind = random.nextInt(4 + BLOCKS.size());
    boolean whole = kind >= 3 || random.nextBoolean();
    int columns = whole ? 32 * (1 + random.nextInt(9)) : 1 + random.nextInt(280);
    if (kind > 3 && BLOCKS.get(kind - 4).elements() == 256) {
      columns = 256 * (1 + random.nextInt(3));
    }
    List<BackMatMul.Term> terms = new ArrayList<>();
    for (int j = random.nextInt(3); j >= 0; j--) {
      int rows = 1 + random.nextInt(random.nextBoolean() ? 40 : 300);
      WeightMatrix weights = matrix(arena, kind, rows, columns);
      Rows dy = RandomWeights.rows(arena, random, tokens, rows, random.nextInt(5));
      terms.add(new BackMatMul.Term(weights, dy));
    }
    return terms;
  }

  private static void multiply(
      BackMatMul matMul, List<BackMatMul.Term> terms, Rows dx, int tokens, int shards) {
    try (BackScratch scratch = new BackScratch(shards)) {
      for (int shard = 0; shard < shards; shard++) {
        matMul.multiply(terms, dx, tokens, scratch, new Shard(shard, shards));
      }
    }
  }

  @Test
  void productsAgreeWithFloat64ForEveryTypeAndRaggedShapes() {
    for (int round = 0; round < 60; round++) {
      int tokens = TOKENS[random.nextInt(TOKENS.length)];
      try (Arena arena = Arena.ofConfined()) {
        List<BackMatMul.Term> terms = terms(arena, tokens);
        checkAgainstFloat64(new VectorBackMatMul(), arena, terms, tokens);
        checkAgainstFloat64(new ScalarBackMatMul(), arena, terms, tokens);
      }
    }
  }

  private void checkAgainstFloat64(
      BackMatMul matMul, Arena arena, List<BackMatMul.Term> terms, int tokens) {
    int columns = terms.getFirst().weights().columns();
    Rows dx = RandomWeights.rows(arena, random, tokens, columns, random.nextInt(5));
    dx.segment().fill((byte) 0xff); // NaN
    multiply(matMul, terms, dx, tokens, 1 + random.nextInt(4));
    for (int token = 0; token < tokens; token++) {
      for (int column = 0; column < columns; column++) {
        double sum = 0;
        double magnitude = 0;
        int count = 0;
        for (BackMatMul.Term term : terms) {
          for (int row = 0; row < term.weights().rows(); row++) {
            double product = (double) term.dy().get(token, row) * term.weights().get(row, column);
            sum += product;
            magnitude += Math.abs(product);
            count++;
          }
        }
        assertEquals(
            sum,
            dx.get(token, column),
            magnitude * (count + 2) * 0x1p-24,
            () -> "seed " + seed + " " + matMul + " " + terms + " tokens " + tokens);
      }
      for (int gap = columns; gap < dx.stride() / 4; gap++) {
        assertTrue(Float.isNaN(dx.get(token, gap)), () -> "seed " + seed + ": wrote between rows");
      }
    }
  }

  @Test
  void aTokensResultDoesNotDependOnTheBatchOrTheShards() {
    for (int round = 0; round < 30; round++) {
      try (Arena arena = Arena.ofConfined()) {
        int most = 150;
        List<BackMatMul.Term> terms = terms(arena, most);
        int columns = terms.getFirst().weights().columns();
        Rows all = Rows.dense(arena.allocate((long) most * columns * 4), most, columns);
        multiply(new VectorBackMatMul(), terms, all, most, 1 + random.nextInt(4));
        int tokens = TOKENS[random.nextInt(TOKENS.length)];
        int first = random.nextInt(most - tokens + 1);
        List<BackMatMul.Term> part = new ArrayList<>();
        for (BackMatMul.Term term : terms) {
          part.add(
              new BackMatMul.Term(term.weights(), RandomWeights.part(term.dy(), first, tokens)));
        }
        Rows some = Rows.dense(arena.allocate((long) tokens * columns * 4), tokens, columns);
        multiply(new VectorBackMatMul(), part, some, tokens, 1 + random.nextInt(4));
        assertEquals(
            -1,
            some.segment().mismatch(RandomWeights.part(all, first, tokens).segment()),
            () -> "seed " + seed + " " + terms);
      }
    }
  }

  @Test
  void aGradientOfOneProductIsItsBackward() {
    // <y, W x> = <W^T y, x>: the forward kernel and this one belong together.
    for (int round = 0; round < 20; round++) {
      try (Arena arena = Arena.ofConfined()) {
        int rows = 1 + random.nextInt(200);
        int columns = 32 * (1 + random.nextInt(6));
        WeightMatrix weights = matrix(arena, random.nextInt(4), rows, columns);
        Rows x = RandomWeights.rows(arena, random, 1, columns, 0);
        Rows dy = RandomWeights.rows(arena, random, 1, rows, 0);
        Rows y = Rows.allocate(arena, 1, rows);
        Rows dx = Rows.allocate(arena, 1, columns);
        try (ActivationPanel panel = new ActivationPanel(1, columns, 1)) {
          MatMul forward = new VectorMatMul();
          forward.pack(panel, x, 1, Shard.WHOLE);
          forward.multiply(weights, panel, y, Shard.WHOLE);
        }
        multiply(new VectorBackMatMul(), List.of(new BackMatMul.Term(weights, dy)), dx, 1, 1);
        double left = 0;
        double size = 0;
        for (int i = 0; i < rows; i++) {
          left += (double) dy.get(0, i) * y.get(0, i);
          size += Math.abs(dy.get(0, i) * y.get(0, i));
        }
        double right = 0;
        for (int i = 0; i < columns; i++) {
          right += (double) dx.get(0, i) * x.get(0, i);
          size += Math.abs(dx.get(0, i) * x.get(0, i));
        }
        assertEquals(left, right, 1e-5 * size, () -> "seed " + seed + " " + weights);
      }
    }
  }

  @Test
  void operandsThatDoNotFitAreRefused() {
    try (Arena arena = Arena.ofConfined();
        BackScratch scratch = new BackScratch(1)) {
      MemorySegment memory = arena.allocate(64 * 64 * 4L);
      WeightMatrix weights = WeightMatrix.of(memory, ElementType.F32, 8, 32);
      Rows dx = Rows.allocate(arena, 2, 32);
      Rows dy = Rows.allocate(arena, 2, 8);
      for (BackMatMul matMul : List.of(new VectorBackMatMul(), new ScalarBackMatMul())) {
        for (List<BackMatMul.Term> wrong :
            List.of(
                List.<BackMatMul.Term>of(),
                List.of(new BackMatMul.Term(weights, Rows.allocate(arena, 1, 8))),
                List.of(new BackMatMul.Term(weights, Rows.allocate(arena, 2, 9))),
                List.of(
                    new BackMatMul.Term(WeightMatrix.of(memory, ElementType.F32, 8, 31), dy)))) {
          assertThrows(
              IllegalArgumentException.class,
              () -> matMul.multiply(wrong, dx, 2, scratch, Shard.WHOLE));
        }
      }
      assertEquals(0, dx.segment().get(ValueLayout.JAVA_FLOAT, 0));
    }
    assertThrows(IllegalArgumentException.class, () -> new BackScratch(0));
  }
}
