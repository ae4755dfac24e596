package dev.lorikeet.training.optimizer;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.training.task.OptimizerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Steps in strips against the formulas, element by element, bit for bit. */
class OptimizerTest {
  private static final int STEPS = 3;

  private static float get(MemorySegment memory, long index) {
    return memory.getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  /** Sizes below, at and beyond a strip. */
  @ParameterizedTest
  @ValueSource(ints = {1, 7, 8, 1023, 1024, 1025, 2 * 1024 + 17})
  void adamWChangesEveryWeightByItsFormula(int count) {
    Random random = new Random(count);
    OptimizerSpec.AdamW spec = new OptimizerSpec.AdamW(0.9, 0.99, 1e-6, 0.1);
    try (Arena arena = Arena.ofConfined()) {
      FactorMemory factor = FactorMemory.allocate(arena, count, 1, 2);
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = random.nextFloat() - 0.5f;
        factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, values[i]);
      }
      float[] means = new float[count];
      float[] squares = new float[count];
      Strips strips = new Strips();
      for (int step = 1; step <= STEPS; step++) {
        for (int i = 0; i < count; i++) {
          float gradient = (float) random.nextGaussian();
          factor.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, i, gradient);
          float g = gradient * 0.5f;
          means[i] += (float) (1 - 0.9) * (g - means[i]);
          squares[i] = squares[i] * (float) 0.99 + (float) (1 - 0.99) * g * g;
          float correction = (float) Math.sqrt(1 - Math.pow(0.99, step));
          float root = (float) Math.sqrt(squares[i]) / correction + (float) 1e-6;
          float stepSize = (float) (0.01 / (1 - Math.pow(0.9, step)));
          values[i] = values[i] * (float) (1 - 0.01 * 0.1) - stepSize * (means[i] / root);
        }
        Optimizer.of(spec).step(factor, 0.01, 0.5f, step, strips);
      }
      for (int i = 0; i < count; i++) {
        assertEquals(values[i], get(factor.values(), i), 0, "weight " + i);
        assertEquals(means[i], get(factor.slot(0), i), 0, "mean " + i);
        assertEquals(squares[i], get(factor.slot(1), i), 0, "square " + i);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {5, 1024, 1500})
  void plainDescentChangesEveryWeightByItsFormula(int count) {
    Random random = new Random(count);
    try (Arena arena = Arena.ofConfined()) {
      FactorMemory factor = FactorMemory.allocate(arena, 1, count, 0);
      float[] expected = new float[count];
      for (int i = 0; i < count; i++) {
        float value = random.nextFloat();
        float gradient = random.nextFloat() - 0.5f;
        factor.values().setAtIndex(ValueLayout.JAVA_FLOAT, i, value);
        factor.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, i, gradient);
        expected[i] = value - 0.25f * (gradient * 2 + 0.125f * value);
      }
      Optimizer.of(new OptimizerSpec.Sgd(0.125)).step(factor, 0.25, 2, 1, new Strips());
      for (int i = 0; i < count; i++) {
        assertEquals(expected[i], get(factor.values(), i), 0, "weight " + i);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 8, 9, 4099})
  void squaresAreSummedWhole(int count) {
    Random random = new Random(count);
    try (Arena arena = Arena.ofConfined()) {
      FactorMemory factor = FactorMemory.allocate(arena, count, 1, 0);
      double expected = 0;
      for (int i = 0; i < count; i++) {
        float gradient = (float) random.nextGaussian();
        factor.gradients().setAtIndex(ValueLayout.JAVA_FLOAT, i, gradient);
        expected += (double) gradient * gradient;
      }
      assertEquals(expected, factor.squares(), 1e-12 * expected);
    }
  }
}
