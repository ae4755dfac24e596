package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;
import static dev.lorikeet.conformance.executor.GradientMutants.learner;
import static dev.lorikeet.conformance.executor.ReferenceExecutor.element;
import static dev.lorikeet.conformance.executor.ReferenceExecutor.set;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.executor.FactorGradients;
import dev.lorikeet.executor.GradientSums;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraGradients;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** LoRA executors whose gradients have one fault each in what they touch and refuse: T8 to T18. */
final class GradientConductMutants {
  private GradientConductMutants() {}

  static List<Mutant> all() {
    return List.of(
        learner("rows of dx without an adapter get plus zero", rules("T8"), rules(), Touches::new),
        learner(
            "one lane of dx written past the end of rows",
            rules("T8"),
            rules("T4", "T6"),
            WritesPadding::new),
        learner("dy scaled in place", rules("T9"), rules("T10", "T11", "T12"), ScalesInput::new),
        learner(
            "all rows of x summed, others by zero", rules("T9"), rules("T14"), ReadsAllRows::new),
        learner("a batch without tokens refused", rules("T10"), rules(), RefusesEmpty::new),
        learner("one memory learns from one adapter alone", rules("T10"), rules(), OneLearner::new),
        learner("no dx from frozen adapters", rules("T11"), rules(), SkipsFrozen::new),
        learner("sums round with the batch", rules("T12"), rules(), DependsOnBatch::new),
        learner("sums round with the workers", rules("T13"), rules(), DependsOnWorkers::new),
        learner("weights of zero skipped on the way back", rules("T14"), rules(), SkipsZero::new),
        learner("NaN kept from token to token", rules("T14"), rules(), LeaksNan::new),
        learner("dx written before gradients are checked", rules("T15"), rules("T16"), Late::new),
        learner("refusals without what was found", rules("T15"), rules(), Taciturn::new),
        learner("gradients on strange devices taken", rules("T15"), rules(), TakesDevices::new),
        learner(
            "gradients of a closed executor",
            rules("T16"),
            rules(),
            (workers, requireOpen) -> new ReferenceGradients(workers, () -> {})),
        executor("other gradients every time", rules("T16"), rules(), Forgetful::new),
        learner("gradients on threads of its own", rules("T17"), rules(), OwnThreads::new),
        learner(
            "gradients of groups without their first module skipped",
            rules("T18"),
            rules(),
            SkipsGroups::new));
  }

  private static class Touches extends ReferenceGradients {
    Touches(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    public void addGradients(
        TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      super.addGradients(targets, batch, x, dy, sums);
      for (int t = 0; t < batch.tokens() && sums.dx().isPresent(); t++) {
        add(sums.dx().get(), t, 0, 0f);
      }
    }
  }

  private static class WritesPadding extends ReferenceGradients {
    WritesPadding(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addInput(LoraWeights w, float scale, float[] g, Tensor dx, int token) {
      super.addInput(w, scale, g, dx, token);
      if (dx.rowStride() > dx.columns() && token + 1 < dx.rows()) {
        set(dx, token, dx.columns(), 0);
      }
    }
  }

  private static class ScalesInput extends ReferenceGradients {
    ScalesInput(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    public void addGradients(
        TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      super.addGradients(targets, batch, x, dy, sums);
      for (int t = 0; t < batch.tokens(); t++) {
        set(dy.getFirst(), t, 0, 2 * element(dy.getFirst(), t, 0));
      }
    }
  }

  private static class ReadsAllRows extends ReferenceGradients {
    ReadsAllRows(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void addA(LoraFactor a, int r, float factor, Tensor x, int token, Tensor to) {
      super.addA(a, r, factor, x, token, to);
      for (int t = 0; t < Math.min(x.rows(), 40); t++) {
        add(to, r, 0, 0 * element(x, t, a.rowStart(r)));
      }
    }
  }

  private static class RefusesEmpty extends ReferenceGradients {
    RefusesEmpty(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      if (batch.tokens() == 0) {
        throw new IllegalArgumentException("batch: expected tokens, found none");
      }
      super.check(targets, batch, x, dy, sums);
    }
  }

  private static class OneLearner extends ReferenceGradients {
    private final Map<FactorGradients.Sums, Long> learners = new HashMap<>();

    OneLearner(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    Optional<FactorGradients.Sums> sums(FactorGradients from, AdapterLease lease, LoraWeights w) {
      long generation = lease.spec().generation();
      return super.sums(from, lease, w)
          .filter(to -> generation == learners.computeIfAbsent(to, first -> generation));
    }
  }

  private static class SkipsFrozen extends ReferenceGradients {
    SkipsFrozen(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    boolean reachesInput(LoraWeights w, float weight, boolean learns) {
      return learns;
    }
  }

  private static class DependsOnBatch extends ReferenceGradients {
    DependsOnBatch(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float factorScale(LoraWeights w, LoraBatch batch, int e, int shards) {
      float scale = super.factorScale(w, batch, e, shards);
      return batch.tokens() % 2 == 0 ? scale * (1 + 0x1p-20f) : scale;
    }
  }

  private static class DependsOnWorkers extends ReferenceGradients {
    DependsOnWorkers(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float factorScale(LoraWeights w, LoraBatch batch, int e, int shards) {
      float scale = super.factorScale(w, batch, e, shards);
      return shards > 2 ? scale * (1 + 0x1p-20f) : scale;
    }
  }

  private static class SkipsZero extends ReferenceGradients {
    SkipsZero(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    boolean reachesFactors(float weight) {
      return weight != 0;
    }
  }

  private static class LeaksNan extends ReferenceGradients {
    private final ThreadLocal<float[]> scratch = ThreadLocal.withInitial(() -> new float[256]);

    LeaksNan(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    float[] outputs(LoraFactor b, Tensor dy, int token) {
      float[] g = super.outputs(b, dy, token);
      float[] kept = scratch.get();
      for (int r = 0; r < g.length; r++) {
        g[r] += 0 * kept[r];
        // Where it is finite, it is as good as cleared.
        kept[r] = Float.isNaN(g[r]) ? g[r] : 0;
      }
      return g;
    }
  }

  private static class Late extends ReferenceGradients {
    Late(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      Optional<Tensor> dx = sums.dx().filter(t -> t.type() == ElementType.F32 && t.rows() > 0);
      float before = dx.map(t -> element(t, 0, 0)).orElse(0f);
      dx.ifPresent(t -> set(t, 0, 0, before + 1));
      super.check(targets, batch, x, dy, sums);
      dx.ifPresent(t -> set(t, 0, 0, before));
    }
  }

  private static class Taciturn extends ReferenceGradients {
    Taciturn(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    void check(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      try {
        super.check(targets, batch, x, dy, sums);
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException("bad shape", e);
      }
    }
  }

  private static class TakesDevices extends ReferenceGradients {
    TakesDevices(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    Optional<FactorGradients.Sums> sums(FactorGradients from, AdapterLease lease, LoraWeights w) {
      return super.sums(
          (adapter, target) ->
              from.of(adapter, target)
                  .map(to -> new FactorGradients.Sums(host(to.a()), host(to.b()))),
          lease,
          w);
    }

    private static Tensor host(Tensor t) {
      return new Tensor(t.segment(), t.type(), t.rows(), t.columns(), t.rowStride(), Device.HOST);
    }
  }

  private static class Forgetful extends ReferenceExecutor {
    private final Workers workers;

    Forgetful(Workers workers) {
      super(workers);
      this.workers = workers;
    }

    @Override
    public Optional<LoraGradients> gradients() {
      return Optional.of(new ReferenceGradients(workers, this::requireOpen));
    }
  }

  private static class OwnThreads extends ReferenceGradients {
    private final ExecutorService threads =
        Executors.newFixedThreadPool(2, Thread.ofPlatform().daemon().name("own").factory());

    OwnThreads(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    public void addGradients(
        TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      try {
        threads.submit(() -> super.addGradients(targets, batch, x, dy, sums)).get();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(e);
      } catch (ExecutionException e) {
        throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e);
      }
    }
  }

  private static class SkipsGroups extends ReferenceGradients {
    SkipsGroups(Workers workers, Runnable requireOpen) {
      super(workers, requireOpen);
    }

    @Override
    public void addGradients(
        TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums) {
      for (int s = 0; s < batch.segments(); s++) {
        if (batch.adapter(s).weights(targets.targets().getFirst()).isEmpty()) {
          check(targets, batch, x, dy, sums);
          return;
        }
      }
      super.addGradients(targets, batch, x, dy, sums);
    }
  }
}
