package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.host.telemetry.Telemetry;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import io.opentelemetry.api.OpenTelemetry;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * The serving of a small model, iteration by iteration on the test's own thread: nothing happens
 * unless the test says so, so that what happens follows from the test alone. A block of {@value
 * #BLOCK} positions takes {@value #BLOCK_PAGES} pages.
 */
final class SteppedServing implements AutoCloseable {
  static final int BLOCK = 8;
  static final int BLOCK_PAGES = 2;
  static final int PAGE_BYTES = 4096;
  static final int LAYERS = 2;
  static final int ADAPTERS = 6;

  /** What the pool must have for the largest of the adapters. */
  static final int LARGEST_ADAPTER_PAGES = 13;

  /** Prompts are made of smaller token ids. */
  static final int VOCABULARY = 128;

  final PagePool pool;
  final FailingStore store;
  final ManualThreads loaders = new ManualThreads();
  final Serving serving;
  final StepDecoder decoder;
  private final ServedModel model;
  private final List<AutoCloseable> resources = new ArrayList<>();
  private final long stepNanos;
  private long passed = 1;

  SteppedServing(ServingOptions options, int pages) {
    this(new FakeModel(), options, pages);
  }

  SteppedServing(ServedModel model, ServingOptions options, int pages) {
    this(model, options, pages, 0);
  }

  /** Opens a model whose every step takes so many nanoseconds, by the clock that requests see. */
  SteppedServing(ServedModel model, ServingOptions options, int pages, long stepNanos) {
    this.model = model;
    this.stepNanos = stepNanos;
    pool = model.openPool(pages);
    store = new FailingStore(model.openStore(pool));
    for (int i = 0; i < ADAPTERS; i++) {
      register("a" + i, i);
    }
    ServedModel.Opened opened = model.openDecoder(pool, options.limits());
    decoder = opened.decoder();
    serving =
        new Serving(
            new Served(
                model.info(),
                decoder,
                model.tokenizer(),
                new Conversations(Optional.empty(), true),
                new Turns()),
            store,
            pool,
            options,
            new Telemetry(OpenTelemetry.noop(), Path.of("target")),
            new AdapterLoader(store, decoder, loaders),
            this::now);
    resources.add(serving);
    resources.add(decoder);
    resources.addAll(opened.lent());
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
    store.register(model.adapter(name, adapter));
  }

  /** A greedy request for exactly so many tokens. */
  static GenerationRequest.Builder request(List<Integer> prompt, int tokens) {
    return GenerationRequest.tokens(prompt).stop(StopConditions.maxTokens(tokens).ignoringEos());
  }

  static List<Integer> prompt(Random random, int length) {
    List<Integer> prompt = new ArrayList<>();
    for (int i = 0; i < length; i++) {
      prompt.add(3 + random.nextInt(VOCABULARY - 3));
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
      assertEquals(0, pool.stats().usedPages(), "pages in use at the end");
      pool.close();
    } catch (Exception e) {
      throw new AssertionError(e);
    }
  }
}
