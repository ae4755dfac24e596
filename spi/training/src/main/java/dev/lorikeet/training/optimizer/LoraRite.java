package dev.lorikeet.training.optimizer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** LoRA-RITE's step of one target module: its factors are changed together. */
final class LoraRite {
  /*
   * Idea (Yen et al., arXiv 2410.20625). B A is the same for many pairs of factors, a step of Adam is not. With A' = QR
   * and B = QR of their own, a gradient of A' multiplied by the inverse of B's R does not depend on the pair but for a
   * rotation. Its moments are kept in the coordinates of the Q of their time, and turned into those of today; the
   * second one is a matrix of the size of the rank, whose inverse root equilibrates the gradient. The change is
   * multiplied by the inverse of R once more.
   *
   * As the authors' own code has it: means instead of sums, decay rates corrected for the first steps, a gradient whose
   * root mean square is above 1 is passed over, and the norm over the whole adapter is held to 1. Mass that escapes
   * between two bases is not counted, as by default there.
   *
   * Layout: A is [rank, in] and is read as [in, rank]. Slots of a factor's state: its mean, in its own shape; its Q of
   * the step before, likewise; its second moment in the first rank * rank numbers.
   *
   * Cost: some 16 * (in + out) * rank^2 flops in double precision, on one thread, twice that of Q and R.
   */
  static final int SLOTS = 3;

  private final double beta1;
  private final double beta2;
  private final double epsilon;
  private final double decay;

  LoraRite(double beta1, double beta2, double epsilon, double decay) {
    this.beta1 = beta1;
    this.beta2 = beta2;
    this.epsilon = epsilon;
    this.decay = decay;
  }

  /** A factor as a tall matrix. */
  private static final class Side {
    private final FactorMemory memory;
    private final boolean byRank;
    private final int rows;
    private final int rank;
    private final double[] q;
    private final double[] inverse;

    Side(FactorMemory memory, boolean byRank) {
      this.memory = memory;
      this.byRank = byRank;
      this.rows = byRank ? memory.columns() : memory.rows();
      this.rank = byRank ? memory.rows() : memory.columns();
      this.q = read(memory.values());
      this.inverse = SmallMatrix.pseudoinverse(SmallMatrix.orthonormalize(q, rows, rank), rank);
    }

    double[] read(MemorySegment from) {
      double[] values = new double[rows * rank];
      for (int row = 0; row < rows; row++) {
        for (int r = 0; r < rank; r++) {
          values[row * rank + r] = from.getAtIndex(ValueLayout.JAVA_FLOAT, index(row, r));
        }
      }
      return values;
    }

    private long index(int row, int r) {
      return byRank ? (long) r * rows + row : (long) row * rank + r;
    }

    void write(double[] values, MemorySegment to) {
      for (int row = 0; row < rows; row++) {
        for (int r = 0; r < rank; r++) {
          to.setAtIndex(ValueLayout.JAVA_FLOAT, index(row, r), (float) values[row * rank + r]);
        }
      }
    }

    /** Returns the gradient in the coordinates of the other factor's Q, or zero if it is huge. */
    double[] unmagnified(Side other, float scale) {
      double[] gradient = read(memory.gradients());
      for (int i = 0; i < gradient.length; i++) {
        gradient[i] *= scale;
      }
      double[] found = SmallMatrix.times(gradient, other.inverse, rows, rank);
      return squares(found) / found.length > 1 ? new double[found.length] : found;
    }

    double[] secondMoment() {
      double[] v = new double[rank * rank];
      MemorySegment slot = memory.slot(2);
      for (int i = 0; i < v.length; i++) {
        v[i] = slot.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      }
      return v;
    }

    void keep(double[] mean, double[] secondMoment) {
      write(mean, memory.slot(0));
      write(q, memory.slot(1));
      MemorySegment slot = memory.slot(2);
      for (int i = 0; i < secondMoment.length; i++) {
        slot.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) secondMoment[i]);
      }
    }
  }

  private static double squares(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value * value;
    }
    return sum;
  }

  /** Returns the part of a module in the square of the norm over the whole adapter. */
  double squares(FactorMemory a, FactorMemory b, float scale) {
    Side left = new Side(a, true);
    Side right = new Side(b, false);
    return squares(left.unmagnified(right, scale)) + squares(right.unmagnified(left, scale));
  }

  /**
   * Changes the weights of a module.
   *
   * @param rateA the learning rate of A
   * @param rateB that of B
   * @param scale what gradients are multiplied by
   * @param norm over the whole adapter
   * @param step how many steps this one makes, from 1
   */
  void step(
      FactorMemory a,
      FactorMemory b,
      double rateA,
      double rateB,
      float scale,
      double norm,
      int step) {
    Side left = new Side(a, true);
    Side right = new Side(b, false);
    Change changeA = change(left, right, scale, norm, step);
    Change changeB = change(right, left, scale, norm, step);
    apply(left, changeA, rateA);
    apply(right, changeB, rateB);
  }

  /**
   * What a step does to a factor.
   *
   * @param direction what is subtracted, times the learning rate
   * @param mean of the equilibrated gradients
   * @param secondMoment of the unmagnified gradients
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Change(double[] direction, double[] mean, double[] secondMoment) {}

  private void apply(Side side, Change change, double rate) {
    double[] values = side.read(side.memory.values());
    for (int i = 0; i < values.length; i++) {
      values[i] -= rate * (change.direction[i] + decay * values[i]);
    }
    side.write(values, side.memory.values());
    side.keep(change.mean, change.secondMoment);
  }

  private Change change(Side own, Side other, float scale, double norm, int step) {
    int rank = own.rank;
    double[] u = own.unmagnified(other, scale);
    if (norm > 1) {
      for (int i = 0; i < u.length; i++) {
        u[i] /= norm;
      }
    }
    double[] turn = SmallMatrix.gram(other.q, other.read(other.memory.slot(1)), other.rows, rank);
    double[] turned = SmallMatrix.transpose(turn, rank);
    double keep2 = correctedDecay(beta2, step);
    double[] v =
        SmallMatrix.times(
            SmallMatrix.times(turn, own.secondMoment(), rank, rank), turned, rank, rank);
    double[] now = SmallMatrix.gram(u, u, own.rows, rank);
    for (int i = 0; i < v.length; i++) {
      v[i] = keep2 * v[i] + (1 - keep2) * now[i] / own.rows;
    }
    symmetrize(v, rank);
    double[] eigenvalues = v.clone();
    double[] vectors = SmallMatrix.eigenvectors(eigenvalues, rank);
    double[] roots = new double[rank];
    for (int i = 0; i < rank; i++) {
      roots[i] = 1 / (Math.sqrt(Math.max(0, eigenvalues[i * rank + i])) + epsilon);
    }
    double[] even = SmallMatrix.times(u, SmallMatrix.compose(vectors, roots, rank), own.rows, rank);
    double[] mean = SmallMatrix.times(own.read(own.memory.slot(0)), turned, own.rows, rank);
    double keep1 = correctedDecay(beta1, step);
    for (int i = 0; i < mean.length; i++) {
      mean[i] = keep1 * mean[i] + (1 - keep1) * even[i];
    }
    double[] change =
        SmallMatrix.times(mean, SmallMatrix.transpose(other.inverse, rank), own.rows, rank);
    return new Change(change, mean, v);
  }

  private static void symmetrize(double[] v, int size) {
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < i; j++) {
        double mean = (v[i * size + j] + v[j * size + i]) / 2;
        v[i * size + j] = mean;
        v[j * size + i] = mean;
      }
    }
  }

  /** Returns a rate of decay that makes means of the first steps right, from 0. */
  private static double correctedDecay(double decay, int step) {
    return decay * (1 - Math.pow(decay, step - 1)) / (1 - Math.pow(decay, step));
  }
}
