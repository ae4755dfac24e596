package dev.lorikeet.jlama.kernel;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class SequenceAttentionTest {
  private final long seed = Long.getLong("lorikeet.seed", System.nanoTime());
  private final Random random = new Random(seed);

  private SequenceAttention.Shape randomShape() {
    int kvHeads = 1 + random.nextInt(3);
    int[] dims = {6, 8, 16, 30, 32, 64, 80};
    int window = random.nextBoolean() ? SequenceAttention.NO_WINDOW : 1 + random.nextInt(90);
    return new SequenceAttention.Shape(
        kvHeads * (1 + random.nextInt(4)), kvHeads, dims[random.nextInt(dims.length)], window);
  }

  private static int[] starts(int... lengths) {
    int[] starts = new int[lengths.length + 1];
    for (int s = 0; s < lengths.length; s++) {
      starts[s + 1] = starts[s] + lengths[s];
    }
    return starts;
  }

  private int[] randomLengths() {
    int[] lengths = new int[1 + random.nextInt(4)];
    for (int s = 0; s < lengths.length; s++) {
      lengths[s] = 1 + random.nextInt(s == 0 ? 150 : 50);
    }
    return lengths;
  }

  /** Operands of random numbers, and room for what comes of them. */
  private static final class Operands {
    final SequenceAttention.Shape shape;
    final int[] starts;
    final SequenceAttention.Inputs inputs;
    final Rows dOut;
    final SequenceAttention.Outputs outputs;
    final SequenceAttention.Inputs gradients;

    Operands(
        Arena arena,
        SequenceAttention.Shape shape,
        int[] starts,
        SequenceAttention.Inputs inputs,
        Rows dOut) {
      this.shape = shape;
      this.starts = starts;
      this.inputs = inputs;
      this.dOut = dOut;
      int tokens = starts[starts.length - 1];
      int width = shape.heads() * shape.headDim();
      outputs =
          new SequenceAttention.Outputs(
              dense(arena, tokens, width), dense(arena, tokens, shape.heads()));
      int kvWidth = shape.kvHeads() * shape.headDim();
      gradients =
          new SequenceAttention.Inputs(
              dense(arena, tokens, width),
              dense(arena, tokens, kvWidth),
              dense(arena, tokens, kvWidth));
    }

    static Operands random(
        Arena arena, Random random, SequenceAttention.Shape shape, int... lengths) {
      int[] starts = starts(lengths);
      int tokens = starts[starts.length - 1];
      int width = shape.heads() * shape.headDim();
      int kvWidth = shape.kvHeads() * shape.headDim();
      SequenceAttention.Inputs inputs =
          new SequenceAttention.Inputs(
              RandomWeights.rows(arena, random, tokens, width, random.nextInt(5)),
              RandomWeights.rows(arena, random, tokens, kvWidth, random.nextInt(5)),
              RandomWeights.rows(arena, random, tokens, kvWidth, random.nextInt(5)));
      Rows dOut = RandomWeights.rows(arena, random, tokens, width, random.nextInt(5));
      return new Operands(arena, shape, starts, inputs, dOut);
    }

    private static Rows dense(Arena arena, int rows, int columns) {
      return Rows.dense(
          arena.allocate((long) rows * columns * 4, 64).fill((byte) 0xff), rows, columns);
    }

    /** One of the sequences alone. */
    Operands alone(Arena arena, int sequence) {
      int first = starts[sequence];
      int count = starts[sequence + 1] - first;
      return new Operands(
          arena,
          shape,
          starts(count),
          new SequenceAttention.Inputs(
              RandomWeights.part(inputs.q(), first, count),
              RandomWeights.part(inputs.k(), first, count),
              RandomWeights.part(inputs.v(), first, count)),
          RandomWeights.part(dOut, first, count));
    }

    void compute(SequenceAttention attention, int shards) {
      try (SequenceScratch scratch =
          new SequenceScratch(shape, SequenceAttention.longest(starts), shards)) {
        for (int s = 0; s < shards; s++) {
          attention.attend(shape, starts, inputs, outputs, scratch, new Shard(s, shards));
        }
        for (int s = 0; s < shards; s++) {
          attention.back(
              shape, starts, inputs, outputs, dOut, gradients, scratch, new Shard(s, shards));
        }
      }
    }

    List<Rows> results() {
      return List.of(
          outputs.out(), outputs.logSumExp(), gradients.q(), gradients.k(), gradients.v());
    }
  }

  @Test
  void theTwinsAgree() {
    for (int round = 0; round < 30; round++) {
      SequenceAttention.Shape shape = randomShape();
      try (Arena arena = Arena.ofConfined()) {
        Operands vector = Operands.random(arena, random, shape, randomLengths());
        Operands scalar = new Operands(arena, shape, vector.starts, vector.inputs, vector.dOut);
        vector.compute(new VectorSequenceAttention(), 1 + random.nextInt(4));
        scalar.compute(new ScalarSequenceAttention(), 1 + random.nextInt(4));
        for (int r = 0; r < 5; r++) {
          Rows expected = scalar.results().get(r);
          Rows found = vector.results().get(r);
          for (int i = 0; i < expected.rows(); i++) {
            for (int j = 0; j < expected.columns(); j++) {
              String where = "seed " + seed + " " + shape + Arrays.toString(vector.starts) + r;
              float e = expected.get(i, j);
              assertEquals(e, found.get(i, j), 2e-5 * Math.max(1, Math.abs(e)), where);
            }
          }
        }
      }
    }
  }

  @Test
  void gradientsAreFiniteDifferences() {
    SequenceAttention.Shape shape = new SequenceAttention.Shape(4, 2, 6, 5);
    try (Arena arena = Arena.ofConfined()) {
      Operands operands = Operands.random(arena, random, shape, 7, 3);
      operands.compute(new ScalarSequenceAttention(), 1);
      List<Rows> inputs = List.of(operands.inputs.q(), operands.inputs.k(), operands.inputs.v());
      List<Rows> gradients = operands.results().subList(2, 5);
      for (int o = 0; o < 3; o++) {
        for (int i = 0; i < 10; i++) {
          for (int j = 0; j < inputs.get(o).columns(); j++) {
            float before = inputs.get(o).get(i, j);
            float step = 0x1p-8f;
            inputs.get(o).set(i, j, before + step);
            double above = loss(operands);
            inputs.get(o).set(i, j, before - step);
            double below = loss(operands);
            inputs.get(o).set(i, j, before);
            double expected = (above - below) / (2 * step);
            assertEquals(expected, gradients.get(o).get(i, j), 5e-4, "seed " + seed);
          }
        }
      }
    }
  }

  /** The sum of the outputs times dOut, in float64. */
  private static double loss(Operands o) {
    int d = o.shape.headDim();
    double loss = 0;
    for (int s = 0; s + 1 < o.starts.length; s++) {
      for (int t = o.starts[s]; t < o.starts[s + 1]; t++) {
        for (int head = 0; head < o.shape.heads(); head++) {
          int kv = head / o.shape.group() * d;
          double sum = 0;
          double weighted = 0;
          for (int j = o.starts[s] + o.shape.firstSeen(t - o.starts[s]); j <= t; j++) {
            double score = 0;
            double value = 0;
            for (int i = 0; i < d; i++) {
              score += (double) o.inputs.q().get(t, head * d + i) * o.inputs.k().get(j, kv + i);
              value += (double) o.dOut.get(t, head * d + i) * o.inputs.v().get(j, kv + i);
            }
            double weight = Math.exp(score / Math.sqrt(d));
            sum += weight;
            weighted += weight * value;
          }
          loss += weighted / sum;
        }
      }
    }
    return loss;
  }

  @Test
  void aSequencesResultDoesNotDependOnTheOthersOrTheShards() {
    for (int round = 0; round < 20; round++) {
      SequenceAttention.Shape shape = randomShape();
      try (Arena arena = Arena.ofConfined()) {
        Operands all = Operands.random(arena, random, shape, randomLengths());
        all.compute(new VectorSequenceAttention(), 1 + random.nextInt(5));
        int sequence = random.nextInt(all.starts.length - 1);
        Operands alone = all.alone(arena, sequence);
        alone.compute(new VectorSequenceAttention(), 1 + random.nextInt(3));
        int first = all.starts[sequence];
        for (int r = 0; r < 5; r++) {
          Rows one = alone.results().get(r);
          MemorySegment part =
              RandomWeights.part(all.results().get(r), first, one.rows()).segment();
          assertEquals(-1, one.segment().mismatch(part), "seed " + seed + " " + shape + " " + r);
        }
      }
    }
  }

  @Test
  void operandsThatDoNotFitAreRefused() {
    SequenceAttention.Shape shape = new SequenceAttention.Shape(2, 1, 8, 4);
    try (Arena arena = Arena.ofConfined();
        SequenceScratch scratch = new SequenceScratch(shape, 5, 1)) {
      Operands six = Operands.random(arena, random, shape, 6);
      Operands two = Operands.random(arena, random, shape, 2, 3);
      VectorSequenceAttention attention = new VectorSequenceAttention();
      assertThrows(
          IllegalArgumentException.class,
          () -> attention.attend(shape, six.starts, six.inputs, six.outputs, scratch, Shard.WHOLE));
      for (int[] starts :
          List.of(new int[] {1, 3}, new int[] {0, 3, 3}, new int[] {0, 3, 2}, new int[0])) {
        assertThrows(
            IllegalArgumentException.class,
            () -> attention.attend(shape, starts, two.inputs, two.outputs, scratch, Shard.WHOLE));
      }
      assertThrows(
          IllegalArgumentException.class,
          () ->
              attention.attend(
                  shape, new int[] {0, 6}, two.inputs, two.outputs, scratch, Shard.WHOLE));
    }
    assertThrows(IllegalArgumentException.class, () -> new SequenceAttention.Shape(3, 2, 8, 1));
  }
}
