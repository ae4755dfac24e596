package dev.lorikeet.training.trainer;

import java.util.function.IntToDoubleFunction;

/**
 * How well pairs of states find one another: the mean over pairs of the cross-entropy of the right
 * partner among all, looked for from either side, with cosines over a temperature as logits; and
 * its gradient. In double precision.
 */
final class ContrastiveLoss {
  /** Lengths count as this at least, as in PyTorch's cosine_similarity. */
  private static final double SHORTEST = 1e-8;

  private final int pairs;
  private final int width;
  private final double temperature;
  private final double[][] first;
  private final double[][] second;
  private final double[] firstLengths;
  private final double[] secondLengths;
  private final double[][] byLogit;
  private double loss;
  private int found;

  /**
   * Computes the loss.
   *
   * @param states rows, {@code [>= row + 2 * pairs, width]}: of each pair one behind the other
   * @param row the first pair's first row
   */
  ContrastiveLoss(float[] states, int row, int pairs, int width, double temperature) {
    this.pairs = pairs;
    this.width = width;
    this.temperature = temperature;
    first = new double[pairs][width];
    second = new double[pairs][width];
    firstLengths = new double[pairs];
    secondLengths = new double[pairs];
    for (int i = 0; i < pairs; i++) {
      firstLengths[i] = unit(states, row + 2 * i, first[i]);
      secondLengths[i] = unit(states, row + 2 * i + 1, second[i]);
    }
    double[][] logits = new double[pairs][pairs];
    for (int i = 0; i < pairs; i++) {
      for (int j = 0; j < pairs; j++) {
        logits[i][j] = dot(first[i], second[j]) / temperature;
      }
    }
    byLogit = new double[pairs][pairs];
    for (int i = 0; i < pairs; i++) {
      for (int j = 0; j < pairs; j++) {
        byLogit[i][j] = i == j ? -1.0 / pairs : 0;
      }
    }
    for (int i = 0; i < pairs; i++) {
      int pair = i;
      addRow(i, j -> logits[pair][j], (j, by) -> byLogit[pair][j] += by);
      addRow(i, j -> logits[j][pair], (j, by) -> byLogit[j][pair] += by);
      found += isLargest(logits[i], i) ? 1 : 0;
    }
  }

  private double unit(float[] states, int row, double[] to) {
    double squares = 0;
    for (int f = 0; f < width; f++) {
      double value = states[row * width + f];
      squares += value * value;
    }
    double length = Math.max(Math.sqrt(squares), SHORTEST);
    for (int f = 0; f < width; f++) {
      to[f] = states[row * width + f] / length;
    }
    return length;
  }

  private static double dot(double[] x, double[] y) {
    double sum = 0;
    for (int f = 0; f < x.length; f++) {
      sum += x[f] * y[f];
    }
    return sum;
  }

  private interface Gradients {
    void add(int j, double by);
  }

  /** Adds half the cross-entropy of the right one, and its gradient but for the right one's own. */
  private void addRow(int right, IntToDoubleFunction logits, Gradients gradients) {
    double largest = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < pairs; j++) {
      largest = Math.max(largest, logits.applyAsDouble(j));
    }
    double sum = 0;
    for (int j = 0; j < pairs; j++) {
      sum += StrictMath.exp(logits.applyAsDouble(j) - largest);
    }
    loss += (largest + StrictMath.log(sum) - logits.applyAsDouble(right)) / (2 * pairs);
    for (int j = 0; j < pairs; j++) {
      gradients.add(j, StrictMath.exp(logits.applyAsDouble(j) - largest) / sum / (2 * pairs));
    }
  }

  private static boolean isLargest(double[] logits, int right) {
    for (double logit : logits) {
      if (logit > logits[right]) {
        return false;
      }
    }
    return true;
  }

  /** Returns the loss: 0 for one pair. */
  double loss() {
    return loss;
  }

  /** Returns how many first states have no second one that is nearer than their own. */
  int found() {
    return found;
  }

  /** Writes the gradient of the loss, times a factor, to the rows of the pairs. */
  void gradient(double factor, float[] to, int row) {
    for (int i = 0; i < pairs; i++) {
      double[] ofFirst = new double[width];
      double[] ofSecond = new double[width];
      for (int j = 0; j < pairs; j++) {
        for (int f = 0; f < width; f++) {
          ofFirst[f] += byLogit[i][j] * second[j][f] / temperature;
          ofSecond[f] += byLogit[j][i] * first[j][f] / temperature;
        }
      }
      write(factor / firstLengths[i], ofFirst, first[i], to, row + 2 * i);
      write(factor / secondLengths[i], ofSecond, second[i], to, row + 2 * i + 1);
    }
  }

  /** A state's length does not count: of a gradient stays what is across the state. */
  private void write(double factor, double[] gradient, double[] unit, float[] to, int row) {
    double along = dot(gradient, unit);
    for (int f = 0; f < width; f++) {
      to[row * width + f] = (float) (factor * (gradient[f] - along * unit[f]));
    }
  }
}
