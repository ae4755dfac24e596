package dev.lorikeet.jlama.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** One random call of {@code addDelta}, with what it should give. */
final class LoraCase {
  final TargetGroup targets;
  final LoraBatch batch;
  final Tensor x;
  final List<Tensor> y;
  final List<TestAdapter> adapters;
  private final String name;

  LoraCase(
      String name,
      TargetGroup targets,
      LoraBatch batch,
      Tensor x,
      List<Tensor> y,
      List<TestAdapter> adapters) {
    this.name = name;
    this.targets = targets;
    this.batch = batch;
    this.x = x;
    this.y = y;
    this.adapters = adapters;
  }

  /** Draws shapes, adapters and a batch. */
  static LoraCase random(Arena arena, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    int aBlocks = random.nextInt(3) == 0 ? 1 << random.nextInt(1, 3) : 1;
    int bBlocks = random.nextInt(3) == 0 ? 1 << random.nextInt(1, 3) : 1;
    int in = aBlocks * random.nextInt(1, random.nextBoolean() ? 40 : 300);
    TargetGroup targets =
        switch (random.nextInt(3)) {
          case 0 -> TargetGroup.of(2, Projection.Q, Projection.K, Projection.V);
          case 1 -> TargetGroup.of(0, Projection.GATE, Projection.UP);
          default -> TargetGroup.of(1, Projection.DOWN);
        };
    int[] out = new int[targets.targets().size()];
    for (int i = 0; i < out.length; i++) {
      out[i] = bBlocks * random.nextInt(1, random.nextBoolean() ? 40 : 300);
    }
    List<TestAdapter> adapters = new ArrayList<>();
    for (int n = random.nextInt(1, 5); n > 0; n--) {
      ElementType type = anyType(random);
      TestAdapter.Builder builder = TestAdapter.builder(arena, random);
      TargetModule other = TargetModule.of(9, Projection.Q);
      builder.add(other, 4, 4, 1, 1, 1, type, 1);
      for (int i = 0; i < out.length; i++) {
        int blocks = Math.max(aBlocks, bBlocks);
        int rank = blocks * random.nextInt(1, random.nextInt(4) == 0 ? 256 / blocks : 9);
        if (random.nextInt(5) > 0) {
          boolean dense = random.nextBoolean();
          builder.add(
              targets.targets().get(i),
              in,
              out[i],
              rank,
              dense ? 1 : aBlocks,
              dense ? 1 : bBlocks,
              type,
              (float) random.nextDouble(-2, 2));
        }
      }
      adapters.add(builder.build("a" + n));
    }
    int tokens = random.nextInt(random.nextInt(4) == 0 ? 150 : 12);
    LoraBatch batch = new LoraBatch().reset(tokens);
    int segments = random.nextInt(6);
    boolean mixture = random.nextBoolean();
    for (int s = 0; s < segments; s++) {
      batch.beginSegment(adapters.get(random.nextInt(adapters.size())));
      int density = random.nextInt(1, 5);
      for (int t = 0; t < tokens; t++) {
        if (mixture ? random.nextInt(density) == 0 : t * segments / Math.max(1, tokens) == s) {
          batch.add(t, mixture ? (float) random.nextDouble(-1, 1) : 1);
        }
      }
    }
    Tensor x = activations(arena, random, tokens + random.nextInt(3), in);
    List<Tensor> y = new ArrayList<>();
    for (int width : out) {
      y.add(activations(arena, random, tokens + random.nextInt(3), width));
    }
    return new LoraCase("seed " + seed, targets, batch, x, y, adapters);
  }

  static ElementType anyType(SplittableRandom random) {
    return switch (random.nextInt(3)) {
      case 0 -> ElementType.F32;
      case 1 -> ElementType.BF16;
      default -> ElementType.F16;
    };
  }

  static Tensor activations(Arena arena, SplittableRandom random, int rows, int columns) {
    int stride = columns + (random.nextBoolean() ? 0 : random.nextInt(9));
    MemorySegment memory = arena.allocate(Math.max(4L, 4L * rows * stride) + 4, 4);
    MemorySegment segment = memory.asSlice(random.nextBoolean() ? 0 : 4);
    for (long e = 0; e < (long) rows * stride; e++) {
      ElementType.F32.write(segment, 4 * e, (float) random.nextGaussian());
    }
    return new Tensor(segment, ElementType.F32, rows, columns, stride, Device.HOST);
  }

  /** A copy of the outputs, with the same strides and the gaps between the rows. */
  List<Tensor> copyOfOutputs(Arena arena) {
    return y.stream()
        .map(
            tensor -> {
              MemorySegment copy = arena.allocate(tensor.segment().byteSize(), 64);
              copy.copyFrom(tensor.segment());
              return new Tensor(
                  copy,
                  tensor.type(),
                  tensor.rows(),
                  tensor.columns(),
                  tensor.rowStride(),
                  tensor.device());
            })
        .toList();
  }

  /** Runs on a copy of the outputs and returns it. */
  List<Tensor> run(LoraExecutor executor, Arena arena) {
    List<Tensor> outputs = copyOfOutputs(arena);
    executor.addDelta(targets, batch, x, outputs);
    return outputs;
  }

  /** Asserts that outputs are the reference's, within F32 rounding of the products summed. */
  void assertMatchesReference(List<Tensor> outputs) {
    for (int i = 0; i < outputs.size(); i++) {
      double[][][] expected = LoraReference.addDelta(targets, i, batch, x, y.get(i));
      for (int t = 0; t < outputs.get(i).rows(); t++) {
        for (int o = 0; o < outputs.get(i).columns(); o++) {
          double tolerance = 2e-6 * expected[1][t][o];
          double found = LoraReference.at(outputs.get(i), t, o);
          if (!(Math.abs(found - expected[0][t][o]) <= tolerance)) {
            fail(
                "%s: %s token %d output %d: expected %g within %g, found %g"
                    .formatted(
                        name, targets.targets().get(i), t, o, expected[0][t][o], tolerance, found));
          }
        }
      }
    }
  }

  /** Asserts that the memory of two lists of outputs is the same, gaps between rows included. */
  void assertSameBits(List<Tensor> expected, List<Tensor> found, String what) {
    for (int i = 0; i < expected.size(); i++) {
      assertEquals(
          -1,
          expected.get(i).segment().mismatch(found.get(i).segment()),
          name + ", " + what + ": first byte of " + targets.targets().get(i) + " that differs");
    }
  }
}
