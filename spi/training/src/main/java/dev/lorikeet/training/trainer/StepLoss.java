package dev.lorikeet.training.trainer;

import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.task.Objective;

/**
 * The loss of one step of a task, added up over its chunks, and its derivative with respect to each
 * log-probability. Numbers are added in the order of the sequences, in double precision.
 */
final class StepLoss {
  private final Objective objective;
  private final double count;
  private double loss;
  private double margins;
  private int above;

  /**
   * Begins a step.
   *
   * @param objective what is minimized
   * @param count what the mean is taken over: labels for texts, pairs for preferences
   */
  StepLoss(Objective objective, long count) {
    this.objective = objective;
    this.count = count;
  }

  /**
   * Adds a chunk.
   *
   * @param batch the micro-batch
   * @param first the first sequence of the chunk
   * @param end behind its last
   * @param values log-probabilities by token
   * @param reference for each sequence of the chunk its log-probability by the base model; empty
   *     where the objective needs none
   * @param coefficients receives the derivatives
   * @return whether all of it is finite; if not, nothing was added and the coefficients are zero
   */
  boolean add(
      MicroBatch batch,
      int first,
      int end,
      double[] values,
      double[] reference,
      float[] coefficients) {
    double added = 0;
    double margin = 0;
    int positive = 0;
    if (objective instanceof Objective.NextToken) {
      for (int s = first; s < end; s++) {
        added -= batch.sum(s, values) / count;
        fill(batch, s, -1 / count, coefficients);
      }
    } else {
      for (int s = first; s < end; s += 2) {
        double chosen = batch.sum(s, values);
        double rejected = batch.sum(s + 1, values);
        double h;
        double likelihood = 0;
        switch (objective) {
          case Objective.Dpo(double beta) -> {
            double gain = chosen - reference[s - first];
            h = beta * (gain - (rejected - reference[s + 1 - first]));
            double slope = beta * sigmoid(-h) / count;
            fill(batch, s, -slope, coefficients);
            fill(batch, s + 1, slope, coefficients);
          }
          case Objective.Cpo(double beta, double weight) -> {
            h = beta * (chosen - rejected);
            double slope = beta * sigmoid(-h) / count;
            double each = weight / labelled(batch, s);
            likelihood = -each * chosen;
            fill(batch, s, -slope - each / count, coefficients);
            fill(batch, s + 1, slope, coefficients);
          }
          case Objective.NextToken() -> throw new IllegalStateException("texts are no pairs");
        }
        added += (softplus(-h) + likelihood) / count;
        margin += h;
        positive += h > 0 ? 1 : 0;
      }
    }
    if (!Double.isFinite(added)) {
      for (int s = first; s < end; s++) {
        fill(batch, s, 0, coefficients);
      }
      return false;
    }
    loss += added;
    margins += margin;
    above += positive;
    return true;
  }

  private static void fill(MicroBatch batch, int sequence, double value, float[] coefficients) {
    for (int t = batch.start(sequence); t < batch.start(sequence + 1); t++) {
      coefficients[t] = (float) value;
    }
  }

  private static int labelled(MicroBatch batch, int sequence) {
    int labels = 0;
    for (int t = batch.start(sequence); t < batch.start(sequence + 1); t++) {
      labels += batch.label(t) == MicroBatch.NO_LOSS ? 0 : 1;
    }
    return labels;
  }

  private static double sigmoid(double x) {
    return 1 / (1 + StrictMath.exp(-x));
  }

  /** Returns {@code log(1 + exp(x))}. */
  private static double softplus(double x) {
    return Math.max(x, 0) + StrictMath.log1p(StrictMath.exp(-Math.abs(x)));
  }

  double loss() {
    return loss;
  }

  double margin() {
    return margins / count;
  }

  double accuracy() {
    return above / count;
  }
}
