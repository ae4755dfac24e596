package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.executor.ReferenceExecutor.element;
import static dev.lorikeet.conformance.executor.ReferenceExecutor.set;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The formulas of rules T1 to T3, read aloud in F32. Each shard adds to the rows of every sum whose
 * number leaves its own remainder.
 */
class ReferenceGradients implements LoraGradients {
  private final Workers workers;
  private final Runnable requireOpen;

  /** A segment and a module that its adapter changes. */
  private record Unit(
      int segment, int module, LoraWeights weights, Optional<FactorGradients.Sums> sums) {}

  ReferenceGradients(Workers workers, Runnable requireOpen) {
    this.workers = workers;
    this.requireOpen = requireOpen;
  }

  @Override
  public void addGradients(
      TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
    requireOpen.run();
    List<Unit> units = new ArrayList<>();
    check(targets, batch, x, dy, sums);
    for (int s = 0; s < batch.segments(); s++) {
      for (int m = 0; m < dy.size(); m++) {
        AdapterLease lease = batch.adapter(s);
        Optional<LoraWeights> weights = lease.weights(targets.targets().get(m));
        if (weights.isPresent() && batch.segmentStart(s) < batch.segmentEnd(s)) {
          Optional<FactorGradients.Sums> to = sums(sums.factors(), lease, weights.get());
          units.add(new Unit(s, m, weights.get(), to));
        }
      }
    }
    workers.run(
        (shard, shards) -> {
          for (Unit unit : units) {
            for (int e = batch.segmentStart(unit.segment);
                e < batch.segmentEnd(unit.segment);
                e++) {
              entry(unit, batch, e, x, dy.get(unit.module), sums, shard, shards);
            }
          }
        });
  }

  /** Returns where the gradients go, checked. */
  Optional<FactorGradients.Sums> sums(FactorGradients from, AdapterLease lease, LoraWeights w) {
    Optional<FactorGradients.Sums> to = from.of(lease, w.target());
    to.ifPresent(
        sums -> {
          checkGradient("gradient of A", w.rank(), w.a().rowLength(), sums.a());
          checkGradient("gradient of B", w.b().width(), w.rank() / w.b().blocks(), sums.b());
        });
    return to;
  }

  private void entry(
      Unit unit,
      LoraBatch batch,
      int e,
      Tensor x,
      Tensor dy,
      GradientSums sums,
      int shard,
      int shards) {
    int token = batch.token(e);
    LoraWeights w = unit.weights;
    float[] g = outputs(w.b(), dy, token);
    float[] h = inputs(w.a(), x, token);
    if (token % shards == shard
        && sums.dx().isPresent()
        && reachesInput(w, batch.weight(e), unit.sums.isPresent())) {
      addInput(w, batch.weight(e) * w.scaling(), g, sums.dx().get(), token);
    }
    if (e % shards == shard && sums.weights().isPresent()) {
      addWeight(w, batch.weight(e), unit.module, g, h, sums.weights().get(), e);
    }
    if (unit.sums.isPresent() && reachesFactors(batch.weight(e))) {
      float scale = factorScale(w, batch, e, shards);
      for (int r = shard; r < w.rank(); r += shards) {
        addA(w.a(), r, scale * g[r], x, token, unit.sums.get().a());
      }
      for (int o = shard; o < w.b().width(); o += shards) {
        addB(w.b(), o, scale, h, dy, token, unit.sums.get().b());
      }
    }
  }

  boolean reachesInput(LoraWeights w, float weight, boolean learns) {
    return true;
  }

  boolean reachesFactors(float weight) {
    return true;
  }

  float factorScale(LoraWeights w, LoraBatch batch, int e, int shards) {
    return batch.weight(e) * w.scaling();
  }

  /** Returns B^T dy. */
  float[] outputs(LoraFactor b, Tensor dy, int token) {
    return products(b, dy, token);
  }

  /** Returns A x. */
  float[] inputs(LoraFactor a, Tensor x, int token) {
    return products(a, x, token);
  }

  private static float[] products(LoraFactor factor, Tensor rows, int token) {
    float[] products = new float[factor.rank()];
    for (int r = 0; r < products.length; r++) {
      for (int i = 0; i < factor.rowLength(); i++) {
        products[r] += element(factor, r, i) * element(rows, token, factor.rowStart(r) + i);
      }
    }
    return products;
  }

  void addInput(LoraWeights w, float scale, float[] g, Tensor dx, int token) {
    LoraFactor a = w.a();
    for (int r = 0; r < g.length; r++) {
      for (int i = 0; i < a.rowLength(); i++) {
        add(dx, token, a.rowStart(r) + i, scale * g[r] * element(a, r, i));
      }
    }
  }

  void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
    for (int i = 0; i < a.rowLength(); i++) {
      add(to, r, i, factor * element(x, token, a.rowStart(r) + i));
    }
  }

  void addB(LoraFactor b, int o, float scale, float[] h, Tensor dy, int token, Tensor to) {
    int ranks = b.rank() / b.blocks();
    int first = o / b.rowLength() * ranks;
    for (int c = 0; c < ranks; c++) {
      add(to, o, c, scale * h[first + c] * element(dy, token, o));
    }
  }

  void addWeight(LoraWeights w, float weight, int module, float[] g, float[] h, Tensor dw, int e) {
    float sum = 0;
    for (int r = 0; r < g.length; r++) {
      sum += g[r] * h[r];
    }
    add(dw, e, 0, w.scaling() * sum);
  }

  static void add(Tensor to, int row, int column, float value) {
    set(to, row, column, element(to, row, column) + value);
  }

  /** Checks everything but the gradients of factors before anything is written. */
  void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
    expect("dy", "gradients", targets.targets().size(), dy.size());
    checkRows("x", x, batch.tokens());
    for (int m = 0; m < dy.size(); m++) {
      checkRows("dy[" + m + "]", dy.get(m), batch.tokens());
    }
    sums.dx()
        .ifPresent(
            dx -> {
              checkRows("dx", dx, batch.tokens());
              expect("dx", "columns", x.columns(), dx.columns());
            });
    sums.weights()
        .ifPresent(
            dw -> {
              checkRows("dw", dw, batch.entries());
              expect("dw", "columns", 1, dw.columns());
            });
    for (int s = 0; s < batch.segments(); s++) {
      for (int m = 0; m < dy.size(); m++) {
        Optional<LoraWeights> weights = batch.adapter(s).weights(targets.targets().get(m));
        if (weights.isPresent()) {
          expect("x", "columns", weights.get().a().width(), x.columns());
          expect("dy[" + m + "]", "columns", weights.get().b().width(), dy.get(m).columns());
        }
      }
    }
  }

  private void checkRows(String name, Tensor tensor, int rows) {
    if (!takesActivations(tensor.type(), tensor.device())) {
      throw new IllegalArgumentException(name + ": expected F32@host, found " + tensor);
    }
    if (tensor.rows() < rows) {
      throw new IllegalArgumentException(
          name + ": expected at least " + rows + " rows, found " + tensor.rows());
    }
  }

  private void checkGradient(String name, long rows, long columns, Tensor tensor) {
    expect(name, "rows", rows, tensor.rows());
    expect(name, "columns", columns, tensor.columns());
    if (!takesActivations(ElementType.F32, tensor.device())) {
      throw new IllegalArgumentException(name + ": expected F32@host, found " + tensor);
    }
  }

  private static void expect(String name, String what, long expected, long found) {
    if (expected != found) {
      throw new IllegalArgumentException(
          name + ": expected " + expected + " " + what + ", found " + found);
    }
  }
}
