package dev.lorikeet.jlama.kernel;

/** The plain twin of {@link VectorTokenLoss}: everything in float64. */
final class ScalarTokenLoss implements TokenLoss {
  @Override
  public float take(Rows logits, int row, int columns, double[] max, double[] sum) {
    float most = (float) max[row];
    for (int i = 0; i < columns; i++) {
      most = logits.get(row, i) > most ? logits.get(row, i) : most;
    }
    double factor = max[row] == most ? 1 : Math.exp(max[row] - most);
    double total = sum[row] * factor;
    for (int i = 0; i < columns; i++) {
      double power = Math.exp(logits.get(row, i) - most);
      logits.set(row, i, (float) power);
      total += power;
    }
    max[row] = most;
    sum[row] = total;
    return (float) factor;
  }

  @Override
  public void addAndScale(Rows x, Rows y, int row, float factor) {
    for (int i = 0; i < y.columns(); i++) {
      y.set(row, i, factor * (y.get(row, i) + x.get(row, i)));
    }
  }

  @Override
  public void gradient(
      WeightMatrix output, int label, Rows expected, Rows dx, int row, float coefficient) {
    for (int i = 0; i < dx.columns(); i++) {
      dx.set(row, i, coefficient * (output.get(label, i) - expected.get(row, i)));
    }
  }
}
