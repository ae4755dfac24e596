package dev.lorikeet.jlama.lora;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/**
 * The readable twin of the backward: one loop per sum, accumulated in double and rounded once when
 * it is added. Runs on the calling thread; takes heap and native memory alike.
 */
final class ScalarLoraGradients implements LoraGradients {
  private final Runnable checkOpen;
  private final GradientCall call = new GradientCall();

  /**
   * @param checkOpen throws if the executor is closed
   */
  ScalarLoraGradients(Runnable checkOpen) {
    this.checkOpen = checkOpen;
  }

  @Override
  public void addGradients(
      TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
    checkOpen.run();
    try {
      call.prepare(targets, batch, x, dy, sums);
      double[] weightGradients = new double[batch.entries()];
      for (GradientCall.Unit unit : call.units()) {
        add(unit, batch, x, dy.get(unit.target()), sums, weightGradients);
      }
      sums.weights().ifPresent(dw -> addWeights(batch, weightGradients, dw));
    } finally {
      call.clear();
    }
  }

  private void addWeights(LoraBatch batch, double[] gradients, Tensor dw) {
    int[] segments =
        call.units().stream().mapToInt(GradientCall.Unit::segment).distinct().toArray();
    for (int s : segments) {
      for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
        add(dw, e, 0, gradients[e]);
      }
    }
  }

  private static void add(
      GradientCall.Unit unit,
      LoraBatch batch,
      Tensor x,
      Tensor dy,
      GradientSums sums,
      double[] weightGradients) {
    LoraWeights weights = unit.weights();
    LoraFactor a = weights.a();
    LoraFactor b = weights.b();
    int rank = weights.rank();
    double[] da = new double[rank * a.rowLength()];
    double[] db = new double[rank * b.rowLength()];
    for (int e = batch.segmentStart(unit.segment()); e < batch.segmentEnd(unit.segment()); e++) {
      int token = batch.token(e);
      double factor = (double) batch.weight(e) * weights.scaling();
      double[] g = shrink(b, dy, token);
      double[] h = shrink(a, x, token);
      for (int r = 0; r < rank; r++) {
        weightGradients[e] += weights.scaling() * g[r] * h[r];
        for (int j = 0; unit.learns() && j < a.rowLength(); j++) {
          da[r * a.rowLength() + j] += factor * g[r] * at(x, token, a.rowStart(r) + j);
        }
        for (int j = 0; unit.learns() && j < b.rowLength(); j++) {
          db[r * b.rowLength() + j] += factor * h[r] * at(dy, token, b.rowStart(r) + j);
        }
      }
      sums.dx().ifPresent(dx -> expand(a, factor, g, dx, token));
    }
    unit.sums()
        .ifPresent(
            to -> {
              for (int r = 0; r < rank; r++) {
                for (int j = 0; j < a.rowLength(); j++) {
                  add(to.a(), r, j, da[r * a.rowLength() + j]);
                }
                for (int j = 0; j < b.rowLength(); j++) {
                  // B lies transposed: the rank within its block is the column.
                  int column = r % (rank / b.blocks());
                  add(to.b(), b.rowStart(r) + j, column, db[r * b.rowLength() + j]);
                }
              }
            });
  }

  /** Returns the products of a token's row with the rows of a factor. */
  private static double[] shrink(LoraFactor factor, Tensor rows, int token) {
    double[] products = new double[factor.rank()];
    for (int r = 0; r < products.length; r++) {
      for (int j = 0; j < factor.rowLength(); j++) {
        products[r] += (double) at(factor, r, j) * at(rows, token, factor.rowStart(r) + j);
      }
    }
    return products;
  }

  private static void expand(LoraFactor a, double factor, double[] g, Tensor dx, int token) {
    double[] row = new double[a.width()];
    for (int r = 0; r < g.length; r++) {
      for (int j = 0; j < a.rowLength(); j++) {
        row[a.rowStart(r) + j] += factor * g[r] * at(a, r, j);
      }
    }
    for (int j = 0; j < row.length; j++) {
      add(dx, token, j, row[j]);
    }
  }

  private static float at(LoraFactor factor, int rank, int column) {
    long offset = factor.rowOffset(rank) + (long) column * factor.type().bytes();
    return factor.type().read(factor.memory(), offset);
  }

  private static float at(Tensor tensor, long row, long column) {
    return ElementType.F32.read(tensor.segment(), 4 * (row * tensor.rowStride() + column));
  }

  private static void add(Tensor tensor, long row, long column, double value) {
    long offset = 4 * (row * tensor.rowStride() + column);
    float before = ElementType.F32.read(tensor.segment(), offset);
    ElementType.F32.write(tensor.segment(), offset, (float) (before + value));
  }
}
