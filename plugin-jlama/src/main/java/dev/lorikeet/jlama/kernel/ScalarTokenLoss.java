package dev.lorikeet.jlama.kernel;

/** The plain twin of {@link VectorTokenLoss}: everything in float64. */
final class ScalarTokenLoss implements TokenLoss {
  @Override
  public void take(Rows logits, int row, int columns, double[] max, double[] sum) {
    double most = max[row];
    for (int i = 0; i < columns; i++) {
      most = Math.max(most, logits.get(row, i));
    }
    double total = max[row] == most ? sum[row] : sum[row] * Math.exp(max[row] - most);
    for (int i = 0; i < columns; i++) {
      total += Math.exp(logits.get(row, i) - most);
    }
    max[row] = most;
    sum[row] = total;
  }

  @Override
  public void gradient(
      Rows logits, int row, int columns, int label, double logSumExp, float coefficient) {
    for (int i = 0; i < columns; i++) {
      double probability = Math.exp(logits.get(row, i) - logSumExp);
      logits.set(row, i, (float) (coefficient * ((i == label ? 1 : 0) - probability)));
    }
  }
}
