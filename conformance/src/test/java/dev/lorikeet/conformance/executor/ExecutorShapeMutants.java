package dev.lorikeet.conformance.executor;

import static dev.lorikeet.conformance.Mutant.rules;
import static dev.lorikeet.conformance.executor.ExecutorMutants.executor;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.conformance.Mutant;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/** LoRA executors with one fault each in shapes, batches and special numbers: rules X6 to X14. */
final class ExecutorShapeMutants {
  private ExecutorShapeMutants() {}

  static List<Mutant> all() {
    return List.of(
        executor(
            "the last lane dropped where sizes are odd",
            rules("X6"),
            rules("X2", "X17", "X19"),
            DropsLastLane::new),
        executor("ranks above 128 cut off", rules("X6"), rules(), CutsRank::new),
        executor(
            "only a token's first segment counts",
            rules("X7"),
            rules("X2", "X11", "X19"),
            FirstSegmentOnly::new),
        executor("empty batches throw", rules("X7"), rules("X2"), RefusesEmpty::new),
        executor("entries of weight zero skipped", rules("X8"), rules(), SkipsZero::new),
        executor("scratch scaled by zero, not cleared", rules("X9"), rules("X8"), LeaksNan::new),
        executor(
            "blocks all read from the first feature", rules("X10"), rules(), IgnoresBlocks::new),
        executor("subnormal numbers flushed to zero", rules("X11"), rules(), FlushesToZero::new),
        executor("results clamped to the largest number", rules("X11"), rules("X9"), Clamps::new),
        executor(
            "a token's sum depends on its place", rules("X12"), rules("X2"), DependsOnBatch::new),
        executor(
            "an expert given the weights of its layer", rules("X24"), rules(), ForgetsExperts::new),
        executor("outputs beyond 65,536 left out", rules("X24"), rules("X6"), CutsWideOutputs::new),
        executor(
            "a group with a missing first module skipped",
            rules("X14"),
            rules("X2"),
            SkipsGroups::new));
  }

  private static class DropsLastLane extends ReferenceExecutor {
    DropsLastLane(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = super.shrink(a, r, x, token);
      int last = a.rowLength() - 1;
      return last % 2 == 0 && last > 0
          ? sum - element(a, r, last) * element(x, token, a.rowStart(r) + last)
          : sum;
    }
  }

  private static class CutsRank extends ReferenceExecutor {
    CutsRank(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      return r < 128 ? super.shrink(a, r, x, token) : 0;
    }
  }

  private static class FirstSegmentOnly extends RewritingExecutor {
    FirstSegmentOnly(Workers workers) {
      super(workers);
    }

    @Override
    LoraBatch rewritten(LoraBatch batch) {
      boolean[] seen = new boolean[batch.tokens()];
      LoraBatch other = new LoraBatch().reset(batch.tokens());
      for (int s = 0; s < batch.segments(); s++) {
        other.beginSegment(batch.adapter(s));
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
          if (!seen[batch.token(e)]) {
            seen[batch.token(e)] = true;
            other.add(batch.token(e), batch.weight(e));
          }
        }
      }
      return other;
    }
  }

  private static class RefusesEmpty extends ReferenceExecutor {
    RefusesEmpty(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      if (batch.tokens() == 0) {
        throw new IllegalArgumentException("batch: expected tokens, found none");
      }
      super.addDelta(targets, batch, x, y);
    }
  }

  private static class SkipsZero extends ReferenceExecutor {
    SkipsZero(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      if (weight != 0) {
        super.entry(w, weight, token, x, y);
      }
    }
  }

  private static class LeaksNan extends ReferenceExecutor {
    private final ThreadLocal<float[]> scratch = ThreadLocal.withInitial(() -> new float[256]);

    LeaksNan(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float[] kept = scratch.get();
      kept[r] = 0 * kept[r] + super.shrink(a, r, x, token);
      float result = kept[r];
      // Where it is finite, it is as good as cleared.
      kept[r] = Float.isNaN(result) ? result : 0;
      return result;
    }
  }

  private static class IgnoresBlocks extends ReferenceExecutor {
    IgnoresBlocks(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = 0;
      for (int i = 0; i < a.rowLength(); i++) {
        sum += element(a, r, i) * element(x, token, i);
      }
      return sum;
    }
  }

  private static class FlushesToZero extends ReferenceExecutor {
    FlushesToZero(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = 0;
      for (int i = 0; i < a.rowLength(); i++) {
        sum += flushed(element(a, r, i)) * flushed(element(x, token, a.rowStart(r) + i));
      }
      return sum;
    }

    private static float flushed(float value) {
      return Math.abs(value) < Float.MIN_NORMAL ? 0 : value;
    }
  }

  private static class Clamps extends ReferenceExecutor {
    Clamps(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      super.expand(w, factor, h, y, token);
      for (int o = 0; o < y.columns(); o++) {
        float value = element(y, token, o);
        if (Float.isInfinite(value)) {
          set(y, token, o, Math.copySign(Float.MAX_VALUE, value));
        }
      }
    }
  }

  private static class DependsOnBatch extends ReferenceExecutor {
    private int entries;

    DependsOnBatch(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      entries = batch.entries();
      super.addDelta(targets, batch, x, y);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = super.shrink(a, r, x, token);
      return entries > 20 ? sum * (1 + 0x1p-12f) : sum;
    }
  }

  private static class ForgetsExperts extends ReferenceExecutor {
    ForgetsExperts(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      boolean ofExpert = targets.targets().getFirst().isExpert();
      super.addDelta(
          ofExpert
              ? new TargetGroup(
                  targets.targets().stream()
                      .map(t -> TargetModule.of(t.layer(), t.projection()))
                      .toList())
              : targets,
          batch,
          x,
          y);
    }
  }

  private static class CutsWideOutputs extends ReferenceExecutor {
    CutsWideOutputs(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      if (y.getFirst().columns() <= 65_536) {
        super.addDelta(targets, batch, x, y);
      }
    }
  }

  private static class SkipsGroups extends RewritingExecutor {
    private TargetModule first = TargetModule.of(0, dev.lorikeet.shape.Projection.Q);

    SkipsGroups(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      first = targets.targets().getFirst();
      super.addDelta(targets, batch, x, y);
    }

    @Override
    LoraBatch rewritten(LoraBatch batch) {
      LoraBatch other = new LoraBatch().reset(batch.tokens());
      for (int s = 0; s < batch.segments(); s++) {
        if (batch.adapter(s).weights(first).isPresent()) {
          other.beginSegment(batch.adapter(s));
          for (int e = batch.segmentStart(s); e < batch.segmentEnd(s); e++) {
            other.add(batch.token(e), batch.weight(e));
          }
        }
      }
      return other;
    }
  }
}
