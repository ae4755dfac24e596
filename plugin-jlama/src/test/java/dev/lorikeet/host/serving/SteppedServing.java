package dev.lorikeet.host.serving;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.jlama.decoder.Decoder;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.text.HfTokenizer;
import io.opentelemetry.api.OpenTelemetry;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * The serving of a small random model, iteration by iteration on the test's own thread: nothing
 * happens unless the test says so, so that what happens follows from the test alone. A block of
 * {@value #BLOCK} positions takes {@value #BLOCK_PAGES} pages.
 */
final class SteppedServing implements AutoCloseable {
  static final int BLOCK = 8;
  static final int BLOCK_PAGES = 2;
  static final int PAGE_BYTES = 4096;
  static final int ADAPTERS = 6;
  static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(2)
          .hidden(64)
          .intermediate(96)
          .heads(4)
          .kvHeads(4)
          .headDim(16)
          .vocabulary(RandomModel.VOCABULARY)
          .build();

  /** What the pool must have for the largest of the adapters. */
  static final int LARGEST_ADAPTER_PAGES = 13;

  private static final Plugins PLUGINS = Plugins.discover();
  private static final Model MODEL = Model.open();

  /** The model and the adapters' directories; written and opened once. */
  private record Model(
      Architecture config, ModelWeights weights, HfTokenizer tokenizer, List<Path> adapters) {
    static Model open() {
      try {
        Path root =
            Files.createTempDirectory(Files.createDirectories(Path.of("target")), "serving-");
        Path directory =
            RandomModel.llama(11)
                .widths(SHAPE.hidden(), SHAPE.intermediate())
                .heads(4, 4)
                .write(root.resolve("model"));
        List<Path> adapters = new ArrayList<>();
        for (int i = 0; i < ADAPTERS; i++) {
          adapters.add(
              PeftAdapterWriter.write(root.resolve("adapter-" + i), 100 + i, 4 + 2 * i, SHAPE));
        }
        Architecture config = Families.read(directory);
        return new Model(
            config, ModelWeights.open(directory, config), HfTokenizer.open(directory), adapters);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    ModelInfo info() {
      return ModelInfo.builder(Path.of("target"), "llama", config.shape())
          .weightType(weights.storage())
          .maxPositions(config.maxPositions())
          .eosTokens(config.eosTokens())
          .build();
    }
  }

  final PagePool pool;
  final FailingStore store;
  final ManualThreads loaders = new ManualThreads();
  final Serving serving;
  private final List<AutoCloseable> resources = new ArrayList<>();
  private final long stepNanos;
  private long passed = 1;

  SteppedServing(ServingOptions options, int pages) {
    this(options, pages, 0);
  }

  /** Opens a model whose every step takes so many nanoseconds, by the clock that requests see. */
  SteppedServing(ServingOptions options, int pages, long stepNanos) {
    this.stepNanos = stepNanos;
    pool =
        PLUGINS
            .pagePool(Optional.empty())
            .open(PoolConfig.of((long) pages * PAGE_BYTES, PAGE_BYTES));
    store =
        new FailingStore(
            PLUGINS
                .adapterStore(Optional.empty())
                .open(StoreConfig.of(MODEL.config().shape(), pool)));
    for (int i = 0; i < ADAPTERS; i++) {
      register("a" + i, i);
    }
    WorkerTeam team = new WorkerTeam("stepped", 1);
    LoraExecutor executor = PLUGINS.loraExecutor(Optional.empty()).open(ExecutorConfig.of(team));
    Decoder decoder =
        new Decoder(
            MODEL.config(),
            MODEL.weights(),
            new Decoder.Resources(pool, team, executor),
            new Decoder.Settings(
                options.limits().batchTokens(),
                options.limits().logits(),
                ElementType.F32,
                Switching.DELTA));
    serving =
        new Serving(
            MODEL.info(),
            decoder,
            MODEL.tokenizer(),
            Optional.empty(),
            store,
            pool,
            options,
            new Telemetry(OpenTelemetry.noop(), Path.of("target")),
            new AdapterLoader(store, loaders),
            this::now);
    resources.addAll(List.of(serving, decoder, executor, team));
  }

  static ServingOptions options(Policy policy, int sequences, boolean prefixCache) {
    return new ServingOptions(
        new Limits(Math.max(24, sequences), sequences, 256, 2 * sequences),
        policy,
        RouterPolicy.DEFAULT,
        prefixCache);
  }

  /** Registers one of the adapters under a name. */
  void register(String name, int adapter) {
    store.register(new AdapterSource(name, MODEL.adapters().get(adapter)));
  }

  /** A greedy request for exactly so many tokens. */
  static GenerationRequest.Builder request(List<Integer> prompt, int tokens) {
    return GenerationRequest.tokens(prompt).stop(StopConditions.maxTokens(tokens).ignoringEos());
  }

  static List<Integer> prompt(Random random, int length) {
    List<Integer> prompt = new ArrayList<>();
    for (int i = 0; i < length; i++) {
      prompt.add(3 + random.nextInt(RandomModel.VOCABULARY - 3));
    }
    return prompt;
  }

  Generation submit(GenerationRequest.Builder request) {
    return submit(request, RequestObserver.none());
  }

  Generation submit(GenerationRequest.Builder request, RequestObserver observer) {
    return serving.submit(request.build(), observer);
  }

  /** The time moves while a batch is computed, and when the test says so. */
  private long now() {
    return passed + stepNanos * serving.steps();
  }

  /** Runs one iteration. */
  boolean step() {
    return serving.scheduler().iterate();
  }

  /** Runs all loads and iterations until nothing waits or runs; fails after too many. */
  void finish(int mostSteps) {
    for (int i = 0; i < mostSteps; i++) {
      while (loaders.runNext()) {
        // All of them.
      }
      step();
      if (isIdle()) {
        return;
      }
    }
    throw new AssertionError("stuck after " + mostSteps + " steps: " + serving.stats());
  }

  boolean isIdle() {
    var stats = serving.stats();
    return stats.queued() == 0 && stats.running() == 0 && loaders.size() == 0;
  }

  void pass(long nanos) {
    passed += nanos;
  }

  /** Returns the tokens of a request that ran alone, or after what was asked before. */
  List<Integer> run(GenerationRequest.Builder request) {
    return run(request, RequestObserver.none());
  }

  List<Integer> run(GenerationRequest.Builder request, RequestObserver observer) {
    Generation generation = submit(request, observer);
    finish(10_000);
    return generation.await().tokens();
  }

  /** Takes all pages that can be had, those of idle adapters and cached blocks too. */
  int pagesToBeHad() {
    int[] pages = new int[pool.pageCount()];
    int count = 0;
    while (count < pages.length && pool.allocate(PageOwner.OTHER, pages, count, 1)) {
      count++;
    }
    pool.free(pages, 0, count);
    return count;
  }

  /** Closes the serving alone. */
  void closeServing() {
    serving.close();
    resources.remove(serving);
  }

  @Override
  public void close() {
    try {
      for (AutoCloseable resource : resources) {
        resource.close();
      }
      store.close();
      pool.close();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}
