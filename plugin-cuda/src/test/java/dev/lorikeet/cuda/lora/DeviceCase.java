package dev.lorikeet.cuda.lora;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.cuda.driver.DeviceMemory;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.IntPredicate;

/** Random activations on the device, and what a batch must make of them. */
final class DeviceCase implements AutoCloseable {
  private final Arena arena = Arena.ofShared();
  private final CudaLoraExecutor executor;
  private final TargetGroup group;
  private final ElementType type;
  private final int tokens;
  private final int in;
  private final int padding;
  private final List<MemorySegment> host = new ArrayList<>();
  private final List<DeviceMemory> device = new ArrayList<>();
  private final boolean borrowsInput;
  private final List<Tensor> tensors = new ArrayList<>();

  /**
   * Fills x and one y per target with random numbers, the padding of each row with NaN.
   *
   * @param padding elements between rows; unaligned unless a multiple of eight
   */
  DeviceCase(
      CudaLoraExecutor executor,
      Random random,
      TargetGroup group,
      ElementType type,
      int tokens,
      int in,
      int[] outs,
      int padding) {
    this.executor = executor;
    this.group = group;
    this.type = type;
    this.tokens = tokens;
    this.in = in;
    this.padding = padding;
    borrowsInput = false;
    add(random, in);
    for (int out : outs) {
      add(random, out);
    }
  }

  /** Takes the first output of another case as x; what it is, is read when this one is checked. */
  DeviceCase(Random random, TargetGroup group, DeviceCase before, int[] outs) {
    executor = before.executor;
    this.group = group;
    type = before.type;
    tokens = before.tokens;
    in = (int) before.tensors.get(1).columns();
    padding = before.padding;
    borrowsInput = true;
    device.add(before.device.get(1));
    host.add(arena.allocate(before.host.get(1).byteSize(), 64));
    tensors.add(before.tensors.get(1));
    for (int out : outs) {
      add(random, out);
    }
  }

  private void add(Random random, int columns) {
    int stride = columns + padding;
    MemorySegment values = arena.allocate((long) tokens * stride * type.bytes(), 64);
    for (long i = 0; i < (long) tokens * stride; i++) {
      float value = i % stride < columns ? (float) random.nextGaussian() : Float.NaN;
      type.write(values, i * type.bytes(), value);
    }
    DeviceMemory memory = DeviceMemory.allocate(values.byteSize());
    memory.write(0, values);
    host.add(values);
    device.add(memory);
    tensors.add(memory.tensor(0, type, tokens, columns, stride, executor.device()));
  }

  void run(LoraBatch batch) {
    executor.addDelta(group, batch, tensors.getFirst(), tensors.subList(1, tensors.size()));
  }

  /** Checks every element, padding included, against sums in double. */
  void check(String what, LoraBatch batch) {
    check(what, batch, _ -> true);
  }

  /** Checks the rows of some tokens. */
  void check(String what, LoraBatch batch, IntPredicate checked) {
    executor.stream().synchronize();
    if (borrowsInput) {
      device.getFirst().read(0, host.getFirst());
    }
    for (int i = 0; i < group.targets().size(); i++) {
      TargetModule target = group.targets().get(i);
      checkOutput(what + ", " + target, batch, target, i + 1, checked);
    }
  }

  private void checkOutput(
      String what, LoraBatch batch, TargetModule target, int place, IntPredicate checked) {
    int out = (int) tensors.get(place).columns();
    int stride = out + padding;
    MemorySegment after = arena.allocate(host.get(place).byteSize(), 64);
    device.get(place).read(0, after);
    double[][] delta = new double[tokens][];
    double[][] magnitude = new double[tokens][];
    double[] x = new double[in];
    int[] entries = new int[tokens];
    for (int s = 0; s < batch.segments(); s++) {
      RandomAdapter adapter = (RandomAdapter) batch.adapter(s);
      boolean changes = adapter.weights(target).isPresent();
      for (int e = batch.segmentStart(s); changes && e < batch.segmentEnd(s); e++) {
        int token = batch.token(e);
        if (delta[token] == null) {
          delta[token] = new double[out];
          magnitude[token] = new double[out];
        }
        entries[token]++;
        for (int k = 0; k < in; k++) {
          long index = (long) token * (in + padding) + k;
          x[k] = type.read(host.getFirst(), index * type.bytes());
        }
        adapter.addExact(target, batch.weight(e), x, delta[token], magnitude[token]);
      }
    }
    for (int t = 0; t < tokens; t++) {
      if (!checked.test(t)) {
        continue;
      }
      for (int o = 0; o < stride; o++) {
        long offset = ((long) t * stride + o) * type.bytes();
        float before = type.read(host.get(place), offset);
        float found = type.read(after, offset);
        String where = what + ", token " + t + ", column " + o;
        if (delta[t] == null || o >= out) {
          assertEquals(Float.floatToRawIntBits(before), Float.floatToRawIntBits(found), where);
        } else {
          double exact = before + delta[t][o];
          double bound =
              4 * (in + entries[t] + 20) * 0x1p-24 * (magnitude[t][o] + Math.abs(before))
                  + 2 * type.unitRoundoff() * Math.abs(exact);
          assertTrue(
              Math.abs(found - exact) <= bound,
              () -> where + ": expected " + exact + " within " + bound + ", found " + found);
        }
      }
    }
  }

  @Override
  public void close() {
    device.stream().skip(borrowsInput ? 1 : 0).forEach(DeviceMemory::close);
    arena.close();
  }
}
