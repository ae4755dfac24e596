package dev.lorikeet.bench.train;

import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.util.function.ToDoubleBiFunction;

/**
 * Operations that a step can't do without, two for each multiply-add: what is computed again counts
 * nowhere.
 */
final class StepFlops {
  private StepFlops() {}

  /**
   * Returns those of a step of one sequence.
   *
   * @param shape of the model
   * @param rank of an adapter on all projections
   * @param length of the sequence, of which every token but the first is predicted
   */
  static double of(ModelShape shape, int rank, int length) {
    double weights = sum(shape, (in, out) -> (double) in * out);
    double adapter = rank * sum(shape, (in, out) -> (double) in + out);
    double pairs = length * (length + 1) / 2.0;
    double base = 4 * weights * length; // y = W x, and dx = W^T dy
    double head = 4.0 * shape.vocabulary() * shape.hidden() * (length - 1);
    double attention = 12 * pairs * shape.queryWidth() * shape.layers(); // 2 products, 4 back
    double lora = 6 * adapter * length; // 2 products, 4 back
    return base + head + attention + lora;
  }

  private static double sum(ModelShape shape, ToDoubleBiFunction<Integer, Integer> of) {
    return shape.layers()
        * Projection.ofLayer().stream()
            .mapToDouble(p -> of.applyAsDouble(shape.inFeatures(p), shape.outFeatures(p)))
            .sum();
  }
}
