package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class ExpertGroupsTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private void split(Consumer<Shard> work) {
    int shards = 1 + random.nextInt(4);
    for (int shard = 0; shard < shards; shard++) {
      work.accept(new Shard(shard, shards));
    }
  }

  private void route(ExpertGroups groups, Rows logits, int tokens) {
    split(shard -> groups.choose(logits, tokens, shard));
    groups.group(tokens);
  }

  /** The experts of a token, by sorting all of them, in ascending order. */
  private static List<Integer> chosen(Rows logits, int token, int perToken) {
    return IntStream.range(0, logits.columns())
        .boxed()
        .sorted(Comparator.comparingDouble(expert -> -logits.get(token, expert)))
        .limit(perToken)
        .sorted()
        .toList();
  }

  @Test
  void tokensAreGroupedByTheExpertsOfTheirLargestLogits() {
    for (int round = 0; round < 100; round++) {
      int experts = 1 + random.nextInt(20);
      int perToken = 1 + random.nextInt(experts);
      int maxTokens = 1 + random.nextInt(40);
      boolean renormalized = random.nextBoolean();
      ExpertGroups groups = new ExpertGroups(maxTokens, experts, perToken, renormalized);
      try (Arena arena = Arena.ofConfined()) {
        for (int use = 0; use < 3; use++) {
          int tokens = 1 + random.nextInt(maxTokens);
          Rows logits = RandomWeights.rows(arena, random, tokens, experts, random.nextInt(3));
          if (use == 1) {
            for (int i = 0; i < tokens * experts; i++) {
              int expert = i % experts;
              logits.set(i / experts, expert, Math.round(2 * logits.get(i / experts, expert)));
            }
          }
          route(groups, logits, tokens);
          int entry = 0;
          for (int expert = 0; expert < experts; expert++) {
            assertEquals(entry, groups.first(expert), () -> "seed " + seed);
            for (int token = 0; token < tokens; token++) {
              List<Integer> own = chosen(logits, token, perToken);
              int index = own.indexOf(expert);
              if (index >= 0) {
                assertEquals(token, groups.token(entry), () -> "seed " + seed);
                assertEquals(entry, groups.entry(token, index), () -> "seed " + seed);
                double weight = weight(logits, token, expert, renormalized ? own : all(experts));
                assertEquals(weight, groups.weight(entry), 1e-7, () -> "seed " + seed);
                entry++;
              }
            }
            assertEquals(entry, groups.end(expert), () -> "seed " + seed);
          }
          assertEquals(tokens * perToken, entry);
        }
      }
    }
  }

  private static List<Integer> all(int experts) {
    return IntStream.range(0, experts).boxed().toList();
  }

  private static double weight(Rows logits, int token, int expert, List<Integer> among) {
    double total = 0;
    for (int other : among) {
      total += Math.exp(logits.get(token, other));
    }
    return Math.exp(logits.get(token, expert)) / total;
  }

  @Test
  void nanIsChosenLastAndLargeLogitsDoNotOverflow() {
    try (Arena arena = Arena.ofConfined()) {
      Rows logits = Rows.allocate(arena, 1, 5);
      float[] values = {Float.NaN, 1e30f, -3e38f, Float.NaN, 1e30f};
      for (int i = 0; i < values.length; i++) {
        logits.set(0, i, values[i]);
      }
      ExpertGroups groups = new ExpertGroups(1, 5, 3, true);
      route(groups, logits, 1);
      List<Integer> found = new ArrayList<>();
      for (int expert = 0; expert < 5; expert++) {
        if (groups.end(expert) > groups.first(expert)) {
          found.add(expert);
        }
      }
      assertEquals(List.of(1, 2, 4), found);
      assertEquals(0.5f, groups.weight(0));
      assertEquals(0, groups.weight(1));
      assertEquals(0.5f, groups.weight(2));
    }
  }

  /** A layer of experts, each of which is one matrix, from rows of x added to y. */
  private void mixture(
      MatMul matMul,
      Elementwise kernels,
      WeightMatrix[] matrices,
      ExpertGroups groups,
      Rows x,
      Rows y) {
    int tokens = x.rows();
    try (Arena arena = Arena.ofConfined();
        ActivationPanel panel = new ActivationPanel(tokens, x.columns(), 4)) {
      Rows outputs = Rows.allocate(arena, tokens * groups.perToken(), y.columns());
      for (int expert = 0; expert < groups.experts(); expert++) {
        int of = expert;
        int first = groups.first(of);
        int count = groups.end(of) - first;
        if (count > 0) {
          Rows part = RandomWeights.part(outputs, first, count);
          split(shard -> matMul.pack(panel, x, groups, of, shard));
          split(shard -> matMul.multiply(matrices[of], panel, part, shard));
        }
      }
      split(shard -> kernels.addExperts(groups, outputs, y, tokens, shard));
    }
  }

  @Test
  void aMixtureIsThatOfFloat64AndOfATokenAlone() {
    for (int round = 0; round < 20; round++) {
      int experts = 1 + random.nextInt(9);
      int perToken = 1 + random.nextInt(experts);
      int tokens = 1 + random.nextInt(20);
      int in = 1 + random.nextInt(90);
      int out = 1 + random.nextInt(70);
      try (Arena arena = Arena.ofConfined()) {
        WeightMatrix[] matrices = new WeightMatrix[experts];
        for (int expert = 0; expert < experts; expert++) {
          matrices[expert] = RandomWeights.matrix(arena, random, ElementType.F32, out, in);
        }
        Rows logits = RandomWeights.rows(arena, random, tokens, experts, 0);
        Rows x = RandomWeights.rows(arena, random, tokens, in, 0);
        Rows residual = RandomWeights.rows(arena, random, tokens, out, 0);
        ExpertGroups groups = new ExpertGroups(tokens, experts, perToken, true);
        route(groups, logits, tokens);
        Rows scalar = copy(arena, residual);
        Rows vector = copy(arena, residual);
        mixture(new ScalarMatMul(), new ScalarElementwise(), matrices, groups, x, scalar);
        mixture(new VectorMatMul(), new VectorElementwise(), matrices, groups, x, vector);
        for (int token = 0; token < tokens; token++) {
          List<Integer> own = chosen(logits, token, perToken);
          for (int i = 0; i < out; i++) {
            double expected = residual.get(token, i);
            for (int expert : own) {
              double weight = weight(logits, token, expert, own);
              for (int j = 0; j < in; j++) {
                expected += weight * matrices[expert].get(i, j) * x.get(token, j);
              }
            }
            assertEquals(expected, scalar.get(token, i), 2e-6, () -> "seed " + seed);
            assertEquals(expected, vector.get(token, i), 2e-5, () -> "seed " + seed);
          }
          ExpertGroups single = new ExpertGroups(1, experts, perToken, true);
          route(single, RandomWeights.part(logits, token, 1), 1);
          Rows alone = copy(arena, RandomWeights.part(residual, token, 1));
          Rows own1 = RandomWeights.part(x, token, 1);
          mixture(new VectorMatMul(), new VectorElementwise(), matrices, single, own1, alone);
          for (int i = 0; i < out; i++) {
            assertEquals(alone.get(0, i), vector.get(token, i), 0, () -> "seed " + seed);
          }
        }
      }
    }
  }

  private static Rows copy(Arena arena, Rows x) {
    MemorySegment segment = arena.allocate(x.segment().byteSize(), 4).copyFrom(x.segment());
    return new Rows(segment, x.stride(), x.rows(), x.columns());
  }

  @Test
  void wrongSizesAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new ExpertGroups(0, 4, 2, true));
    assertThrows(IllegalArgumentException.class, () -> new ExpertGroups(4, 4, 5, true));
    assertThrows(IllegalArgumentException.class, () -> new ExpertGroups(4, 4, 0, true));
    ExpertGroups groups = new ExpertGroups(2, 4, 2, false);
    try (Arena arena = Arena.ofConfined()) {
      Rows logits = Rows.allocate(arena, 3, 4);
      assertThrows(IllegalArgumentException.class, () -> groups.choose(logits, 3, Shard.WHOLE));
      Rows narrow = Rows.allocate(arena, 2, 3);
      assertThrows(IllegalArgumentException.class, () -> groups.choose(narrow, 2, Shard.WHOLE));
      assertThrows(IllegalArgumentException.class, () -> groups.group(3));
    }
  }
}
