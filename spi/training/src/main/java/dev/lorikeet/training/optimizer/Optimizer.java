package dev.lorikeet.training.optimizer;

import dev.lorikeet.training.task.OptimizerSpec;

/**
 * Changes weights by their gradients. Stateless: what it remembers is in the memory of the factor.
 * The same input gives the same bits on every machine.
 */
public abstract sealed class Optimizer {
  /*
   * Plain loops over float32, element by element, in strips that are copied to arrays, of which the JVM makes vectors
   * (Strips). A step of rank 16 on all projections of the 135 M shape changes 4.9 million weights: 16 bytes read and 12
   * written for each, 4 ms at 40 GB/s, as is the norm (FactorMemory) of which the trainer needs all before. Factors are
   * shared out among the stage's workers.
   *
   * Measured on one thread of two of a busy Zen 5: 20 to 30 ms over the segments themselves, 11 to 14 in strips; the
   * norm 4 ms as one chain of sums, 3 as eight.
   */
  private Optimizer() {}

  /** Returns the optimizer of a task. */
  public static Optimizer of(OptimizerSpec spec) {
    return switch (spec) {
      case OptimizerSpec.AdamW adamW -> new AdamW(adamW);
      case OptimizerSpec.Sgd sgd -> new Sgd(sgd);
      case OptimizerSpec.LoraRite rite -> new Rite(rite);
    };
  }

  /**
   * Returns whether the factors of a module are changed together, by {@link #step(FactorMemory,
   * FactorMemory, PairStep)}, once the {@link #squares} of all modules are known.
   */
  public boolean changesPairs() {
    return false;
  }

  /** How a pair of factors is changed: as a factor, and by the norm over the whole adapter. */
  public record PairStep(double rateA, double rateB, float scale, double norm, int number) {}

  /** Returns the part of a module in the square of the norm over the whole adapter. */
  public double squares(FactorMemory a, FactorMemory b, float scale) {
    throw new UnsupportedOperationException("an optimizer that changes factors one by one");
  }

  /** Changes both factors of a module. */
  public void step(FactorMemory a, FactorMemory b, PairStep step) {
    throw new UnsupportedOperationException("an optimizer that changes factors one by one");
  }

  /** Returns how many float32 numbers are remembered for each weight. */
  public abstract int slots();

  /**
   * Changes the weights of a factor.
   *
   * @param factor its memory; gradients stay as they are
   * @param rate the learning rate
   * @param scale what gradients are multiplied by before anything else
   * @param step how many steps this one makes, from 1
   * @param strips room to work in
   */
  public abstract void step(FactorMemory factor, double rate, float scale, int step, Strips strips);

  private static final class AdamW extends Optimizer {
    private final OptimizerSpec.AdamW spec;

    AdamW(OptimizerSpec.AdamW spec) {
      this.spec = spec;
    }

    @Override
    public int slots() {
      return 2;
    }

    @Override
    public void step(FactorMemory factor, double rate, float scale, int step, Strips strips) {
      float keep = (float) (1 - rate * spec.weightDecay());
      float stepSize = (float) (rate / (1 - Math.pow(spec.beta1(), step)));
      float rootCorrection = (float) Math.sqrt(1 - Math.pow(spec.beta2(), step));
      long count = factor.count();
      for (long at = 0; at < count; at += Strips.LENGTH) {
        int length = (int) Math.min(Strips.LENGTH, count - at);
        Strips.load(factor.values(), at, strips.values, length);
        Strips.load(factor.gradients(), at, strips.gradients, length);
        Strips.load(factor.slot(0), at, strips.means, length);
        Strips.load(factor.slot(1), at, strips.squares, length);
        step(strips, length, scale, keep, stepSize, rootCorrection);
        Strips.store(strips.values, factor.values(), at, length);
        Strips.store(strips.means, factor.slot(0), at, length);
        Strips.store(strips.squares, factor.slot(1), at, length);
      }
    }

    private void step(
        Strips strips, int length, float scale, float keep, float stepSize, float rootCorrection) {
      float[] values = strips.values;
      float[] gradients = strips.gradients;
      float[] means = strips.means;
      float[] squares = strips.squares;
      float towards = (float) (1 - spec.beta1());
      float keepSquare = (float) spec.beta2();
      float addSquare = (float) (1 - spec.beta2());
      float epsilon = (float) spec.epsilon();
      for (int i = 0; i < length; i++) {
        float g = gradients[i] * scale;
        float mean = means[i] + towards * (g - means[i]);
        float square = squares[i] * keepSquare + addSquare * g * g;
        float root = (float) Math.sqrt(square) / rootCorrection + epsilon;
        means[i] = mean;
        squares[i] = square;
        values[i] = values[i] * keep - stepSize * (mean / root);
      }
    }
  }

  private static final class Rite extends Optimizer {
    private final LoraRite steps;

    Rite(OptimizerSpec.LoraRite spec) {
      steps = new LoraRite(spec.beta1(), spec.beta2(), spec.epsilon(), spec.weightDecay());
    }

    @Override
    public int slots() {
      return LoraRite.SLOTS;
    }

    @Override
    public boolean changesPairs() {
      return true;
    }

    @Override
    public double squares(FactorMemory a, FactorMemory b, float scale) {
      return steps.squares(a, b, scale);
    }

    @Override
    public void step(FactorMemory a, FactorMemory b, PairStep step) {
      steps.step(a, b, step.rateA(), step.rateB(), step.scale(), step.norm(), step.number());
    }

    @Override
    public void step(FactorMemory factor, double rate, float scale, int step, Strips strips) {
      throw new UnsupportedOperationException("an optimizer that changes factors in pairs");
    }
  }

  private static final class Sgd extends Optimizer {
    private final OptimizerSpec.Sgd spec;

    Sgd(OptimizerSpec.Sgd spec) {
      this.spec = spec;
    }

    @Override
    public int slots() {
      return 0;
    }

    @Override
    public void step(FactorMemory factor, double rate, float scale, int step, Strips strips) {
      float decay = (float) spec.weightDecay();
      float stepSize = (float) rate;
      float[] values = strips.values;
      float[] gradients = strips.gradients;
      long count = factor.count();
      for (long at = 0; at < count; at += Strips.LENGTH) {
        int length = (int) Math.min(Strips.LENGTH, count - at);
        Strips.load(factor.values(), at, values, length);
        Strips.load(factor.gradients(), at, gradients, length);
        for (int i = 0; i < length; i++) {
          values[i] -= stepSize * (gradients[i] * scale + decay * values[i]);
        }
        Strips.store(values, factor.values(), at, length);
      }
    }
  }
}
