package dev.lorikeet.training.optimizer;

/**
 * Square matrices of the size of a rank, and tall ones of as many columns, in double precision, row
 * after row: {@code m[row * columns + column]}.
 */
final class SmallMatrix {
  private static final int MOST_SWEEPS = 50;

  private SmallMatrix() {}

  /** Returns {@code a' b}, {@code [columns, columns]}, of two tall matrices. */
  static double[] gram(double[] a, double[] b, int rows, int columns) {
    double[] product = new double[columns * columns];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < columns; i++) {
        double left = a[row * columns + i];
        for (int j = 0; j < columns; j++) {
          product[i * columns + j] += left * b[row * columns + j];
        }
      }
    }
    return product;
  }

  /** Returns {@code a b} of any matrix with so many rows and a square one. */
  static double[] times(double[] a, double[] b, int rows, int columns) {
    double[] product = new double[rows * columns];
    for (int row = 0; row < rows; row++) {
      for (int k = 0; k < columns; k++) {
        double left = a[row * columns + k];
        for (int j = 0; j < columns; j++) {
          product[row * columns + j] += left * b[k * columns + j];
        }
      }
    }
    return product;
  }

  /** Returns the transpose of a square matrix. */
  static double[] transpose(double[] a, int size) {
    double[] transposed = new double[a.length];
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < size; j++) {
        transposed[j * size + i] = a[i * size + j];
      }
    }
    return transposed;
  }

  /**
   * Makes the columns of a tall matrix orthonormal, by Gram and Schmidt's way, twice.
   *
   * @param a becomes Q; a column that depends on those before becomes zero
   * @return R, upper triangular
   */
  static double[] orthonormalize(double[] a, int rows, int columns) {
    double[] r = new double[columns * columns];
    for (int k = 0; k < columns; k++) {
      double before = norm(a, k, rows, columns);
      for (int pass = 0; pass < 2; pass++) {
        for (int j = 0; j < k; j++) {
          double along = 0;
          for (int i = 0; i < rows; i++) {
            along += a[i * columns + j] * a[i * columns + k];
          }
          for (int i = 0; i < rows; i++) {
            a[i * columns + k] -= along * a[i * columns + j];
          }
          r[j * columns + k] += along;
        }
      }
      double left = norm(a, k, rows, columns);
      boolean depends = left <= before * 1e-12;
      r[k * columns + k] = depends ? 0 : left;
      for (int i = 0; i < rows; i++) {
        a[i * columns + k] = depends ? 0 : a[i * columns + k] / left;
      }
    }
    return r;
  }

  private static double norm(double[] a, int column, int rows, int columns) {
    double sum = 0;
    for (int i = 0; i < rows; i++) {
      sum += a[i * columns + column] * a[i * columns + column];
    }
    return Math.sqrt(sum);
  }

  /**
   * Decomposes a symmetric matrix, by Jacobi's rotations.
   *
   * @param a becomes diagonal: the eigenvalues
   * @return the eigenvectors, in columns
   */
  static double[] eigenvectors(double[] a, int size) {
    double[] v = new double[size * size];
    for (int i = 0; i < size; i++) {
      v[i * size + i] = 1;
    }
    for (int sweep = 0; sweep < MOST_SWEEPS; sweep++) {
      double off = 0;
      double all = 0;
      for (int i = 0; i < size; i++) {
        for (int j = 0; j < size; j++) {
          double square = a[i * size + j] * a[i * size + j];
          all += square;
          off += i == j ? 0 : square;
        }
      }
      if (off <= all * 1e-32) {
        break;
      }
      for (int p = 0; p < size; p++) {
        for (int q = p + 1; q < size; q++) {
          rotate(a, v, p, q, size);
        }
      }
    }
    return v;
  }

  private static void rotate(double[] a, double[] v, int p, int q, int size) {
    double apq = a[p * size + q];
    if (apq == 0) {
      return;
    }
    double theta = (a[q * size + q] - a[p * size + p]) / (2 * apq);
    double t = Math.copySign(1, theta) / (Math.abs(theta) + Math.hypot(theta, 1));
    double c = 1 / Math.hypot(t, 1);
    double s = t * c;
    for (int k = 0; k < size; k++) {
      double kp = a[k * size + p];
      double kq = a[k * size + q];
      a[k * size + p] = c * kp - s * kq;
      a[k * size + q] = s * kp + c * kq;
    }
    for (int k = 0; k < size; k++) {
      double pk = a[p * size + k];
      double qk = a[q * size + k];
      a[p * size + k] = c * pk - s * qk;
      a[q * size + k] = s * pk + c * qk;
      double vp = v[k * size + p];
      double vq = v[k * size + q];
      v[k * size + p] = c * vp - s * vq;
      v[k * size + q] = s * vp + c * vq;
    }
  }

  /** Returns {@code v diag(d) v'}. */
  static double[] compose(double[] v, double[] d, int size) {
    double[] scaled = v.clone();
    for (int i = 0; i < size; i++) {
      for (int j = 0; j < size; j++) {
        scaled[i * size + j] *= d[j];
      }
    }
    return times(scaled, transpose(v, size), size, size);
  }

  /**
   * Returns the pseudoinverse of a square matrix: singular values below the largest times their
   * number times the precision of float32, in which the weights are, count as zero.
   */
  static double[] pseudoinverse(double[] a, int size) {
    double[] squared = times(transpose(a, size), a, size, size);
    double[] v = eigenvectors(squared, size);
    double largest = 0;
    for (int i = 0; i < size; i++) {
      largest = Math.max(largest, squared[i * size + i]);
    }
    double least = Math.sqrt(largest) * size * Math.ulp(1f);
    double[] inverse = new double[size];
    for (int i = 0; i < size; i++) {
      double value = Math.sqrt(Math.max(0, squared[i * size + i]));
      inverse[i] = value > least ? 1 / (value * value) : 0;
    }
    return times(compose(v, inverse, size), transpose(a, size), size, size);
  }
}
