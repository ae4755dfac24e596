package dev.lorikeet.conformance.executor;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.tensor.ElementCodec;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.Optional;

/**
 * The formula of rule X1, read aloud in F32, and what the suite lends to models under test. Each
 * shard computes the tokens whose number leaves its own remainder.
 */
public class ReferenceExecutor implements LoraExecutor {
  private final Workers workers;
  private boolean closed;

  public ReferenceExecutor(Workers workers) {
    this.workers = workers;
  }

  @Override
  public Device device() {
    return Device.HOST;
  }

  @Override
  public boolean merges(ElementType type, Device device) {
    return device.isHost();
  }

  @Override
  public boolean takes(TargetModule module) {
    return module.projection() != Projection.EMBED;
  }

  @Override
  public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    requireOpen();
    check(targets, batch, x, y);
    workers.run(
        (shard, shards) -> {
          for (int s = 0; s < batch.segments(); s++) {
            for (int m = 0; m < y.size(); m++) {
              Optional<LoraWeights> weights = batch.adapter(s).weights(targets.targets().get(m));
              if (weights.isPresent()) {
                segment(weights.get(), batch, s, x, y.get(m), shard, shards);
              }
            }
          }
        });
  }

  private void segment(
      LoraWeights w, LoraBatch batch, int segment, Tensor x, Tensor y, int shard, int shards) {
    for (int e = batch.segmentStart(segment); e < batch.segmentEnd(segment); e++) {
      int token = batch.token(e);
      if (token % shards == shard) {
        entry(w, batch.weight(e), token, x, y);
      }
    }
  }

  /** Adds one adapter's delta to one token's row. */
  void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
    float[] h = new float[w.rank()];
    for (int r = 0; r < h.length; r++) {
      h[r] = shrink(w.a(), r, x, token);
    }
    expand(w, weight * w.scaling(), h, y, token);
  }

  /** Returns the product of one row of A and a token's input. */
  float shrink(LoraFactor a, int r, Tensor x, int token) {
    float sum = 0;
    for (int i = 0; i < a.rowLength(); i++) {
      sum += element(a, r, i) * element(x, token, a.rowStart(r) + i);
    }
    return sum;
  }

  /** Adds the multiples of the rows of B transposed. */
  void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
    LoraFactor b = w.b();
    for (int r = 0; r < h.length; r++) {
      for (int o = 0; o < b.rowLength(); o++) {
        int column = b.rowStart(r) + o;
        set(y, token, column, element(y, token, column) + factor * (element(b, r, o) * h[r]));
      }
    }
  }

  static float element(LoraFactor factor, int row, int index) {
    return ElementCodec.get(factor, row, index);
  }

  static float element(Tensor tensor, long row, long column) {
    return ElementCodec.get(tensor, row, column);
  }

  static void set(Tensor tensor, long row, long column, float value) {
    ElementCodec.set(tensor, row, column, value);
  }

  /** Checks everything before anything is written. */
  void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
    if (y.size() != targets.targets().size()) {
      throw new IllegalArgumentException(
          "y: expected " + targets.targets().size() + " outputs, found " + y.size());
    }
    checkActivations("x", x, batch.tokens());
    for (int m = 0; m < y.size(); m++) {
      checkActivations("y[" + m + "]", y.get(m), batch.tokens());
    }
    for (int s = 0; s < batch.segments(); s++) {
      AdapterLease lease = batch.adapter(s);
      for (int m = 0; m < y.size(); m++) {
        Optional<LoraWeights> weights = lease.weights(targets.targets().get(m));
        if (weights.isPresent()) {
          expect("x", "columns", weights.get().a().width(), x.columns());
          expect("y[" + m + "]", "columns", weights.get().b().width(), y.get(m).columns());
        }
      }
    }
  }

  private void checkActivations(String name, Tensor tensor, int tokens) {
    if (!takesActivations(tensor.type(), tensor.device())) {
      throw new IllegalArgumentException(name + ": expected F32@host, found " + tensor);
    }
    if (tensor.rows() < tokens) {
      throw new IllegalArgumentException(
          name + ": expected at least " + tokens + " rows, found " + tensor.rows());
    }
  }

  private static void expect(String name, String what, long expected, long found) {
    if (expected != found) {
      throw new IllegalArgumentException(
          name + ": expected " + expected + " " + what + ", found " + found);
    }
  }

  @Override
  public void switchMerged(MergePlan plan) {
    requireOpen();
    for (MergePlan.Target target : plan.targets()) {
      for (Tensor weights : List.of(target.pristine(), target.merged())) {
        if (!merges(weights.type(), weights.device())) {
          throw new UnsupportedOperationException(target.module() + ": merges no " + weights);
        }
      }
      plan.mixture().forEach(share -> share.adapter().weights(target.module()));
    }
    workers.run(
        (shard, shards) -> {
          for (int t = shard; t < plan.targets().size(); t += shards) {
            merge(plan.targets().get(t), plan.mixture());
          }
        });
  }

  /** Rewrites one module's weights. */
  void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
    Tensor from = target.pristine();
    for (int o = 0; o < from.rows(); o++) {
      float[] row = new float[(int) from.columns()];
      for (int i = 0; i < row.length; i++) {
        row[i] = element(from, o, i);
      }
      for (MergePlan.Share share : mixture) {
        Optional<LoraWeights> weights = weights(share, target.module());
        if (weights.isPresent()) {
          mergeRow(weights.get(), share.weight() * weights.get().scaling(), o, row);
        }
      }
      for (int i = 0; i < row.length; i++) {
        set(target.merged(), o, i, row[i]);
      }
    }
  }

  Optional<LoraWeights> weights(MergePlan.Share share, TargetModule module) {
    return share.adapter().weights(module);
  }

  private static void mergeRow(LoraWeights w, float factor, int o, float[] row) {
    LoraFactor a = w.a();
    LoraFactor b = w.b();
    for (int r = 0; r < w.rank(); r++) {
      int at = o - b.rowStart(r);
      if (at >= 0 && at < b.rowLength()) {
        float product = factor * element(b, r, at);
        for (int i = 0; i < a.rowLength(); i++) {
          row[a.rowStart(r) + i] += product * element(a, r, i);
        }
      }
    }
  }

  void requireOpen() {
    if (closed) {
      throw new IllegalStateException("executor: closed");
    }
  }

  @Override
  public void close() {
    closed = true;
  }
}
