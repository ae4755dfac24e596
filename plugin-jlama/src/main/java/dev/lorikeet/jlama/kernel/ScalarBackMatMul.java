package dev.lorikeet.jlama.kernel;

import java.util.List;

/** The plain twin of {@link VectorBackMatMul}: loops, sums in float64. */
final class ScalarBackMatMul implements BackMatMul {
  @Override
  public void multiply(List<Term> terms, Rows dx, int tokens, BackScratch scratch, Shard shard) {
    BackMatMul.check(terms, dx, tokens);
    for (int column = shard.first(dx.columns()); column < shard.end(dx.columns()); column++) {
      for (int token = 0; token < tokens; token++) {
        double sum = 0;
        for (Term term : terms) {
          for (int row = 0; row < term.weights().rows(); row++) {
            sum += (double) term.dy().get(token, row) * term.weights().get(row, column);
          }
        }
        if (!shard.beginStore()) {
          return;
        }
        dx.set(token, column, (float) sum);
        shard.endStore();
      }
    }
  }
}
