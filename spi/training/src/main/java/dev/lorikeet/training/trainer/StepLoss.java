package dev.lorikeet.training.trainer;

import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.task.Objective;
import java.util.Arrays;

/**
 * The loss of one step of a task, added up over its chunks, and its derivative with respect to each
 * log-probability. Numbers are added in the order of the sequences, in double precision.
 */
final class StepLoss {
  private final Objective objective;
  private final double count;
  private final double pairs;
  private double loss;
  private double contrastive;
  private double margins;
  private int above;

  /**
   * Begins a step.
   *
   * @param objective what is minimized
   * @param labels how many tokens are to be predicted in the step
   * @param examples how many examples the step has
   */
  StepLoss(Objective objective, long labels, long examples) {
    this.objective = objective;
    this.pairs = Math.max(1, examples);
    this.count =
        objective.examples() == Objective.Examples.PREFERENCES ? pairs : Math.max(1, labels);
  }

  /**
   * Adds a chunk.
   *
   * @param batch the micro-batch
   * @param first the first sequence of the chunk
   * @param end behind its last
   * @param scores log-probabilities by token, and states of paraphrases
   * @param reference for each sequence of the chunk its log-probability by the base model; empty
   *     where the objective needs none
   * @param gradient receives the derivatives
   * @return whether all of it is finite; if not, nothing was added and the derivatives are zero
   */
  boolean add(
      MicroBatch batch,
      int first,
      int end,
      StageOutput.LogProbabilities scores,
      double[] reference,
      OutputGradient.OfLogProbabilities gradient) {
    double[] values = scores.values();
    float[] coefficients = gradient.coefficients();
    double added = 0;
    double contrast = 0;
    double margin = 0;
    int positive = 0;
    if (objective.examples() != Objective.Examples.PREFERENCES) {
      long labels = 0;
      for (int s = first; s < end; s++) {
        added -= batch.sum(s, values) / count;
        fill(batch, s, -1 / count, coefficients);
        labels += labelled(batch, s);
      }
      if (objective instanceof Objective.Contrastive(double temperature, double weight)) {
        int row = batch.shownBefore(first);
        int width = scores.states().length / batch.shown();
        int here = (end - first) / 2;
        ContrastiveLoss apart = new ContrastiveLoss(scores.states(), row, here, width, temperature);
        double generation = added * count / labels;
        double ratio = apart.loss() > 0 ? Math.min(weight, generation / apart.loss()) : weight;
        double part = here / pairs;
        apart.gradient(part * ratio, gradient.states(), row);
        added += part * ratio * apart.loss();
        contrast = part * apart.loss();
        positive = apart.found();
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
          case Objective.NextToken none -> throw noPreferences();
          case Objective.Contrastive none -> throw noPreferences();
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
      clear(batch, first, end, gradient.states());
      return false;
    }
    loss += added;
    contrastive += contrast;
    margins += margin;
    above += positive;
    return true;
  }

  private static void fill(MicroBatch batch, int sequence, double value, float[] coefficients) {
    for (int t = batch.start(sequence); t < batch.start(sequence + 1); t++) {
      coefficients[t] = (float) value;
    }
  }

  private static IllegalStateException noPreferences() {
    return new IllegalStateException("expected an objective of preferences");
  }

  /** Clears the rows of sequences, of whom nobody may hear. */
  private static void clear(MicroBatch batch, int first, int end, float[] states) {
    int shown = batch.shown();
    if (shown > 0) {
      int width = states.length / shown;
      int behind = end == batch.sequences() ? shown : batch.shownBefore(end);
      Arrays.fill(states, batch.shownBefore(first) * width, behind * width, 0);
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
    return above / pairs;
  }

  double contrastive() {
    return contrastive;
  }
}
