package dev.lorikeet.jlama.warmup;

import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.kv.KvPages;
import dev.lorikeet.host.step.StepAdapters;
import dev.lorikeet.host.step.StepBatch;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.jlama.decoder.Decoder;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.lora.VectorLoraExecutorProvider;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/** Steps of a blank miniature of a model, on one thread. Closed by the thread that uses it. */
final class Rehearsal implements AutoCloseable {
  /** A short prompt, and one more token. */
  static final List<int[]> ONE_BY_ONE = List.of(new int[] {5}, new int[] {1});

  /** Several tokens at a time: one block of them, two, more than are kept in registers. */
  static final List<int[]> TOGETHER =
      List.of(new int[] {5}, new int[] {1, 1}, new int[] {1, 1, 1, 1, 1, 1, 1, 1}, new int[] {20});

  // One block of the widest vectors each way: the fewest vectors that run all loops.
  private static final int WIDTH = 32;
  private static final int TOKENS = 32;
  private static final int SEQUENCES = 8;
  private static final int LATE_POSITION = 20;

  // A compiled step takes 50 to 100 microseconds, one with a kernel that is not some milliseconds.
  private static final long FAST_NANOS = 250_000;
  private static final int FAST_ROUNDS = 3;

  private final ModelWeights weights;
  private final Arena arena;
  private final WorkerTeam team;
  private final LoraExecutor executor;
  private final Decoder decoder;
  private final KvPages[] pages = new KvPages[SEQUENCES];
  private final BlankAdapter adapter;
  private final StepBatch step = new StepBatch(TOKENS, SEQUENCES, SEQUENCES);
  private final LoraBatch lora = new LoraBatch();
  private final int[] ids = new int[TOKENS];
  private boolean narrow;

  Rehearsal(Architecture architecture, String storage, ElementType kvType) {
    this.weights = ModelWeights.blank(architecture, storage);
    this.arena = Arena.ofShared();
    this.team = new WorkerTeam("lorikeet-warm-up", 1);
    this.executor = new VectorLoraExecutorProvider().open(ExecutorConfig.of(team));
    this.decoder =
        new Decoder(
            architecture,
            weights,
            new Decoder.Resources(new RehearsalPages(arena), team, executor),
            new Decoder.Settings(TOKENS, SEQUENCES, kvType, Switching.DELTA),
            adapted -> narrow);
    for (int i = 0; i < pages.length; i++) {
      pages[i] = decoder.kv().newPages(TOKENS);
      if (!pages[i].reserve(TOKENS)) {
        throw new IllegalStateException("warm-up: too few pages");
      }
    }
    this.adapter = new BlankAdapter(architecture.shape(), ElementType.BF16, arena);
  }

  /** Returns a model of the same kind with one small layer. */
  static Architecture miniature(Architecture a) {
    ModelShape full = a.shape();
    ModelShape small =
        full.toBuilder()
            .layers(1)
            .hidden(WIDTH)
            .intermediate(WIDTH)
            .heads(full.heads() / full.kvHeads())
            .kvHeads(1)
            .headDim(WIDTH)
            .vocabulary(WIDTH)
            .build();
    return a.withShape(small);
  }

  /**
   * Repeats steps until they are fast.
   *
   * @param steps the tokens of each sequence, for each step
   * @param oneByOne whether products take one token at a time
   * @param adapted whether all tokens use an adapter
   * @param end when to stop at the latest, in the time of {@link System#nanoTime}
   */
  void run(List<int[]> steps, boolean oneByOne, boolean adapted, long end) {
    oneByOne(oneByOne);
    int fast = 0;
    while (fast < FAST_ROUNDS && System.nanoTime() - end < 0) {
      long before = System.nanoTime();
      for (int[] counts : steps) {
        step(counts, adapted);
      }
      fast = System.nanoTime() - before < FAST_NANOS * steps.size() ? fast + 1 : 0;
    }
  }

  void oneByOne(boolean value) {
    narrow = value;
  }

  /** Runs one step; throws if its logits are not those of a model of zeros. */
  void step(int[] counts, boolean adapted) {
    step.reset();
    for (int s = 0; s < counts.length; s++) {
      step.add(pages[s], ids, counts[s] == 1 ? LATE_POSITION : 0, counts[s]);
      step.wantLogits(step.tokens() - 1);
    }
    lora.reset(step.tokens());
    if (adapted) {
      lora.beginSegment(adapter);
      for (int t = 0; t < step.tokens(); t++) {
        lora.add(t, 1);
      }
    }
    decoder.forward(step, new SameForAllLayers(lora));
    for (int s = 0; s < counts.length; s++) {
      if (decoder.best(s) != 0 || Double.isNaN(decoder.logSumExp(s))) {
        throw new IllegalStateException("warm-up: logits of zeros are not equal");
      }
    }
  }

  @Override
  public void close() {
    for (KvPages of : pages) {
      of.release();
    }
    decoder.close();
    executor.close();
    team.close();
    weights.close();
    arena.close();
  }

  private record SameForAllLayers(LoraBatch batch) implements StepAdapters {
    @Override
    public LoraBatch beforeLayers(Tensor embeddings) {
      return batch;
    }

    @Override
    public int stepsToCome() {
      return 0;
    }

    @Override
    public boolean wantsLayerInputs() {
      return false;
    }

    @Override
    public void layerInput(int layer, Tensor normed) {
      // nobody looks
    }

    @Override
    public boolean perLayer() {
      return false;
    }

    @Override
    public LoraBatch atLayer(int layer, Tensor normed) {
      return batch;
    }

    @Override
    public boolean wantsFinalHidden() {
      return false;
    }

    @Override
    public void afterLayers(Tensor hidden) {
      // nobody looks
    }
  }
}
