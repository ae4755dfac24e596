package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;

/**
 * LoRA executors with one fault each in what they touch, refuse and run on: rules X4, X5, X13, X15,
 * X16, X21 and X22.
 */
final class ExecutorConductMutants {
  private ExecutorConductMutants() {}

  static List<Mutant> all() {
    return List.of(
        executor(
            "rows without a segment get plus zero", rules("X4"), rules("X9"), TouchesRows::new),
        executor("one lane written past the end of rows", rules("X4"), rules(), WritesPadding::new),
        executor(
            "the input scaled in place", rules("X5"), rules("X12", "X14", "X2"), ScalesInput::new),
        executor("sums in an order that chance decides", rules("X13"), rules(), RandomOrder::new),
        executor("shapes checked while writing", rules("X15"), rules("X16"), ChecksLate::new),
        executor("messages without what was found", rules("X15"), rules(), Taciturn::new),
        executor("strange devices taken", rules("X15"), rules(), TakesDevices::new),
        executor("closed leases not noticed", rules("X16"), rules(), IgnoresClosedLease::new),
        executor("work goes on after close", rules("X16"), rules("X22"), WorksAfterClose::new),
        executor(
            "scratch shared by all workers", rules("X21"), rules("X13", "X2"), SharedScratch::new),
        executor("work for two workers only", rules("X21"), rules("X13", "X17"), TwoWorkers::new),
        executor("threads of its own", rules("X21"), rules(), OwnThreads::new),
        executor("the second close throws", rules("X22"), rules(), SecondCloseThrows::new));
  }

  private static class TouchesRows extends ReferenceExecutor {
    TouchesRows(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      super.addDelta(targets, batch, x, y);
      for (int t = 0; t < batch.tokens(); t++) {
        float value = element(y.getFirst(), t, 0);
        set(y.getFirst(), t, 0, value == 0 ? 0f : value);
      }
    }
  }

  private static class WritesPadding extends ReferenceExecutor {
    WritesPadding(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      super.expand(w, factor, h, y, token);
      if (y.rowStride() > y.columns() && token + 1 < y.rows()) {
        set(y, token, y.columns(), 0);
      }
    }
  }

  private static class ScalesInput extends ReferenceExecutor {
    ScalesInput(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      super.addDelta(targets, batch, x, y);
      for (int t = 0; t < batch.tokens(); t++) {
        set(x, t, 0, 2 * element(x, t, 0));
      }
    }
  }

  private static class RandomOrder extends ReferenceExecutor {
    private static final Random RANDOM = new Random();

    RandomOrder(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      int first = RANDOM.nextInt(a.rowLength());
      float sum = 0;
      for (int i = 0; i < a.rowLength(); i++) {
        int at = (first + i) % a.rowLength();
        sum += element(a, r, at) * element(x, token, a.rowStart(r) + at);
      }
      return sum;
    }
  }

  private static class ChecksLate extends ReferenceExecutor {
    ChecksLate(Workers workers) {
      super(workers);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      if (!y.isEmpty() && batch.entries() > 0 && y.size() > 1) {
        set(y.getFirst(), batch.token(0), 0, 1 + element(y.getFirst(), batch.token(0), 0));
        super.check(targets, batch, x, y);
        set(y.getFirst(), batch.token(0), 0, element(y.getFirst(), batch.token(0), 0) - 1);
      } else {
        super.check(targets, batch, x, y);
      }
    }
  }

  private static class Taciturn extends ReferenceExecutor {
    Taciturn(Workers workers) {
      super(workers);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      try {
        super.check(targets, batch, x, y);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("bad shape", e);
      }
    }
  }

  private static class TakesDevices extends ReferenceExecutor {
    TakesDevices(Workers workers) {
      super(workers);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      super.check(targets, batch, host(x), y.stream().map(TakesDevices::host).toList());
    }

    private static Tensor host(Tensor t) {
      return new Tensor(t.segment(), t.type(), t.rows(), t.columns(), t.rowStride(), Device.HOST);
    }
  }

  private static class IgnoresClosedLease extends ReferenceExecutor {
    IgnoresClosedLease(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      try {
        super.addDelta(targets, batch, x, y);
      } catch (IllegalStateException e) {
        if (!String.valueOf(e.getMessage()).startsWith("lease")) {
          throw e;
        }
      }
    }
  }

  private static class WorksAfterClose extends ReferenceExecutor {
    WorksAfterClose(Workers workers) {
      super(workers);
    }

    @Override
    public void close() {}
  }

  private static class SharedScratch extends ReferenceExecutor {
    private volatile float[] scratch = new float[256];

    SharedScratch(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      for (int r = 0; r < w.rank(); r++) {
        scratch[r] = shrink(w.a(), r, x, token);
      }
      LockSupport.parkNanos(1);
      expand(w, weight * w.scaling(), java.util.Arrays.copyOf(scratch, w.rank()), y, token);
    }
  }

  private static class TwoWorkers extends ReferenceExecutor {
    TwoWorkers(Workers workers) {
      super(
          new Workers() {
            @Override
            public int parallelism() {
              return workers.parallelism();
            }

            @Override
            public void run(ShardTask task) {
              workers.run(
                  (shard, shards) -> {
                    if (shard < 2) {
                      task.run(shard, shards);
                    }
                  });
            }
          });
    }
  }

  private static class OwnThreads extends ReferenceExecutor {
    private final ExecutorService threads =
        Executors.newFixedThreadPool(2, Thread.ofPlatform().daemon().name("own").factory());

    OwnThreads(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      requireOpen();
      check(targets, batch, x, y);
      try {
        threads.submit(() -> super.addDelta(targets, batch, x, y)).get();
      } catch (InterruptedException | ExecutionException e) {
        throw new IllegalStateException(e);
      }
    }

    @Override
    public void close() {
      threads.shutdown();
      super.close();
    }
  }

  private static class SecondCloseThrows extends ReferenceExecutor {
    private boolean closedOnce;

    SecondCloseThrows(Workers workers) {
      super(workers);
    }

    @Override
    public void close() {
      if (closedOnce) {
        throw new IllegalStateException("closed before");
      }
      closedOnce = true;
      super.close();
    }
  }
}
