package dev.lorikeet.training.task;

/**
 * The learning rate over the steps, as a factor of its largest value.
 *
 * @param shape what follows the warm-up
 * @param warmupSteps over how many steps it rises linearly: to {@code (step + 1) / warmupSteps} at
 *     step 0, 1, and so on
 */
public record Schedule(Shape shape, int warmupSteps) {
  /** The whole learning rate at every step. */
  public static final Schedule CONSTANT = new Schedule(Shape.CONSTANT, 0);

  public Schedule {
    Ranges.atLeast("warm-up steps", warmupSteps, 0);
  }

  /** How the learning rate falls after the warm-up. */
  public enum Shape {
    /** Not at all. */
    CONSTANT,
    /** Linearly to 0 behind the last step. */
    LINEAR,
    /** Along half a cosine to 0 behind the last step. */
    COSINE
  }

  /**
   * Returns the factor of a step.
   *
   * @param step from 0
   * @param steps how many there are
   */
  public double factor(int step, int steps) {
    if (step < warmupSteps) {
      return (step + 1.0) / warmupSteps;
    }
    double done = (double) (step - warmupSteps) / Math.max(1, steps - warmupSteps);
    return switch (shape) {
      case CONSTANT -> 1;
      case LINEAR -> Math.max(0, 1 - done);
      case COSINE -> 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done)));
    };
  }
}
