package dev.lorikeet.conformance;

import static dev.lorikeet.conformance.Mutant.rules;

import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetModule;
import dev.lorikeet.conformance.MutantSuites.MakesExecutor;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.MergePlan;
import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;

/** LoRA executors with one fault each. */
final class ExecutorMutants {
  private ExecutorMutants() {}

  private static Mutant executor(
      String fault, Set<String> by, Set<String> also, MakesExecutor factory) {
    return new Mutant(MutantSuites.Executors.class, fault, by, also, factory);
  }

  static List<Mutant> all() {
    List<Mutant> list = new ArrayList<>(arithmetic());
    list.addAll(conduct());
    list.addAll(MergeMutants.all());
    return list;
  }

  private static List<Mutant> arithmetic() {
    return List.of(
        executor("scaling left out", rules("X1"), rules(), NoScaling::new),
        executor("weight left out", rules("X1"), rules(), NoWeight::new),
        executor("outputs overwritten, not added to", rules("X1"), rules(), Overwrites::new),
        executor("B read as if it were not transposed", rules("X1"), rules(), Transposed::new),
        executor("each segment one token short", rules("X1"), rules(), OffByOne::new),
        executor("weights kept by name, not by generation", rules("X1"), rules(), StaleByName::new),
        executor(
            "the shrunken vector rounded to BF16",
            rules("X2"),
            rules("X11", "X12", "X19"),
            RoundsToBf16::new),
        executor("sums kept in F16", rules("X2"), rules("X11", "X12", "X19"), SumsInF16::new),
        executor(
            "F16 weights read as BF16", rules("X3"), rules("X2", "X11", "X19"), F16AsBf16::new),
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
            "a group with a missing first module skipped",
            rules("X14"),
            rules("X2"),
            SkipsGroups::new));
  }

  private static List<Mutant> conduct() {
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

  private static class NoScaling extends ReferenceExecutor {
    NoScaling(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(new LoraWeights(w.target(), w.a(), w.b(), 1), weight, token, x, y);
    }
  }

  private static class NoWeight extends ReferenceExecutor {
    NoWeight(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(w, 1, token, x, y);
    }
  }

  private static class Overwrites extends ReferenceExecutor {
    Overwrites(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      for (int o = 0; o < y.columns(); o++) {
        set(y, token, o, 0);
      }
      super.expand(w, factor, h, y, token);
    }
  }

  private static class Transposed extends ReferenceExecutor {
    Transposed(Workers workers) {
      super(workers);
    }

    @Override
    void expand(LoraWeights w, float factor, float[] h, Tensor y, int token) {
      LoraFactor b = w.b();
      for (int r = 0; r < h.length; r++) {
        for (int o = 0; o < b.rowLength(); o++) {
          int at = o * h.length + r;
          float value = element(b, at / b.rowLength(), at % b.rowLength());
          int column = b.rowStart(r) + o;
          set(y, token, column, element(y, token, column) + factor * value * h[r]);
        }
      }
    }
  }

  /** Rewrites the batch before it is computed. */
  private abstract static class Rewrites extends ReferenceExecutor {
    Rewrites(Workers workers) {
      super(workers);
    }

    abstract LoraBatch rewritten(LoraBatch batch);

    @Override
    public void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y) {
      requireOpen();
      check(targets, batch, x, y);
      super.addDelta(targets, rewritten(batch), x, y);
    }
  }

  private static class OffByOne extends Rewrites {
    OffByOne(Workers workers) {
      super(workers);
    }

    @Override
    LoraBatch rewritten(LoraBatch batch) {
      LoraBatch other = new LoraBatch().reset(batch.tokens());
      for (int s = 0; s < batch.segments(); s++) {
        other.beginSegment(batch.adapter(s));
        for (int e = batch.segmentStart(s); e < batch.segmentEnd(s) - 1; e++) {
          other.add(batch.token(e), batch.weight(e));
        }
      }
      return other;
    }
  }

  private static class StaleByName extends ReferenceExecutor {
    private final Map<String, LoraWeights> kept = new HashMap<>();
    private LoraBatch batch = new LoraBatch();

    StaleByName(Workers workers) {
      super(workers);
    }

    @Override
    public void addDelta(TargetGroup targets, LoraBatch given, Tensor x, List<Tensor> y) {
      batch = given;
      super.addDelta(targets, given, x, y);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      String name = "";
      for (int s = 0; s < batch.segments(); s++) {
        if (batch.adapter(s).weights(w.target()).filter(w::equals).isPresent()) {
          name = batch.adapter(s).spec().id() + w.target() + w.rank();
        }
      }
      LoraWeights used;
      synchronized (kept) {
        used = kept.computeIfAbsent(name, n -> w);
      }
      super.entry(used, weight, token, x, y);
    }
  }

  private static class RoundsToBf16 extends ReferenceExecutor {
    RoundsToBf16(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      return ElementCodec.round(ElementType.BF16, super.shrink(a, r, x, token));
    }
  }

  private static class SumsInF16 extends ReferenceExecutor {
    SumsInF16(Workers workers) {
      super(workers);
    }

    @Override
    float shrink(LoraFactor a, int r, Tensor x, int token) {
      float sum = super.shrink(a, r, x, token);
      return Math.abs(sum) > 60_000 || Float.isNaN(sum)
          ? sum
          : ElementCodec.round(ElementType.F16, sum);
    }
  }

  private static class F16AsBf16 extends ReferenceExecutor {
    F16AsBf16(Workers workers) {
      super(workers);
    }

    @Override
    void entry(LoraWeights w, float weight, int token, Tensor x, Tensor y) {
      super.entry(
          new LoraWeights(w.target(), misread(w.a()), misread(w.b()), w.scaling()),
          weight,
          token,
          x,
          y);
    }

    private static LoraFactor misread(LoraFactor f) {
      ElementType type = f.type() == ElementType.F16 ? ElementType.BF16 : f.type();
      long[] offsets = IntStream.range(0, f.rank()).mapToLong(f::rowOffset).toArray();
      return new LoraFactor(type, f.width(), f.blocks(), f.device(), f.memory(), offsets);
    }
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

  private static class FirstSegmentOnly extends Rewrites {
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

  private static class SkipsGroups extends Rewrites {
    private TargetModule first = new TargetModule(0, dev.lorikeet.adapter.Projection.Q);

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

  /** Executors whose fault is in merging. */
  static final class MergeMutants {
    private MergeMutants() {}

    static List<Mutant> all() {
      return List.of(
          executor(
              "rounded after each adapter", rules("X17"), rules("X18", "X19"), RoundsEach::new),
          executor(
              "modules without a delta left out",
              rules("X17"),
              rules("X18", "X19"),
              LeavesOut::new),
          executor(
              "the last state subtracted, not the pristine one taken",
              rules("X18"),
              rules("X17", "X19"),
              Drifts::new),
          executor(
              "pristine weights overwritten",
              rules("X18"),
              rules("X17", "X19"),
              WritesPristine::new),
          executor("merging refused after writing", rules("X20"), rules(), RefusesLate::new));
    }

    private static class RoundsEach extends ReferenceExecutor {
      RoundsEach(Workers workers) {
        super(workers);
      }

      @Override
      void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
        super.merge(target, List.of());
        for (MergePlan.Share share : mixture) {
          super.merge(
              new MergePlan.Target(target.module(), target.merged(), target.merged()),
              List.of(share));
        }
      }
    }

    private static class LeavesOut extends ReferenceExecutor {
      LeavesOut(Workers workers) {
        super(workers);
      }

      @Override
      void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
        if (mixture.isEmpty()
            || mixture.stream().anyMatch(s -> weights(s, target.module()).isPresent())) {
          super.merge(target, mixture);
        }
      }
    }

    private static class Drifts extends ReferenceExecutor {
      private final Map<TargetModule, List<MergePlan.Share>> last = new HashMap<>();

      Drifts(Workers workers) {
        super(workers);
      }

      @Override
      synchronized void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
        Optional<List<MergePlan.Share>> before =
            Optional.ofNullable(last.put(target.module(), mixture));
        if (before.isEmpty()) {
          super.merge(target, mixture);
          return;
        }
        MergePlan.Target inPlace =
            new MergePlan.Target(target.module(), target.merged(), target.merged());
        List<MergePlan.Share> change = new ArrayList<>(mixture);
        before.get().forEach(s -> change.add(new MergePlan.Share(s.adapter(), -s.weight())));
        super.merge(inPlace, change);
      }
    }

    private static class WritesPristine extends ReferenceExecutor {
      WritesPristine(Workers workers) {
        super(workers);
      }

      @Override
      void merge(MergePlan.Target target, List<MergePlan.Share> mixture) {
        super.merge(target, mixture);
        if (!mixture.isEmpty()) {
          set(target.pristine(), 0, 0, 1 + element(target.pristine(), 0, 0));
        }
      }
    }

    private static class RefusesLate extends ReferenceExecutor {
      RefusesLate(Workers workers) {
        super(workers);
      }

      @Override
      public boolean merges(ElementType type, Device device) {
        return false;
      }

      @Override
      public void switchMerged(MergePlan plan) {
        set(plan.targets().getFirst().merged(), 0, 0, 0);
        super.switchMerged(plan);
      }
    }
  }
}
