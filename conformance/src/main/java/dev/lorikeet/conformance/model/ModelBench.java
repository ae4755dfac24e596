package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.conformance.files.PeftFiles;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.Trial;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolStats;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** A model under test with its pool and store, and the reference that knows what it must say. */
final class ModelBench implements AutoCloseable {
  final Trial trial;
  final TinyModel tiny;
  final PagePool pool;
  final AdapterStore store;
  final BaseModel model;
  final Map<String, PeftFiles> adapters = new LinkedHashMap<>();
  private final Path directory;

  ModelBench(
      Trial trial,
      TinyModel tiny,
      PagePool pool,
      AdapterStore store,
      BaseModel model,
      Path directory) {
    this.trial = trial;
    this.tiny = tiny;
    this.pool = pool;
    this.store = store;
    this.model = model;
    this.directory = directory;
  }

  /** Registers an adapter that changes all modules enough to be seen. */
  ModelBench adapter(String name, int rank, ElementType type, List<Projection> projections) {
    PeftFiles.Form form =
        new PeftFiles.Form(
            tiny.shape,
            PeftFiles.modules(tiny.shape, projections),
            rank,
            2.0 * rank,
            type,
            Map.of());
    PeftFiles files = PeftFiles.random(form, trial.random(), 0.3 / Math.sqrt(Math.sqrt(rank)) / 2);
    adapters.put(name, files);
    store.register(
        new AdapterSource(
            name, files.write(directory.resolve("adapter-" + name + "-" + adapters.size()))));
    return this;
  }

  /** Registers three adapters: of all projections, of attention's alone, of the MLP's alone. */
  ModelBench adapters() {
    return adapter("all", 8, ElementType.F32, Projection.ofLayer())
        .adapter(
            "attention",
            4,
            ElementType.BF16,
            List.of(Projection.Q, Projection.K, Projection.V, Projection.O))
        .adapter(
            "mlp", 16, ElementType.F16, List.of(Projection.GATE, Projection.UP, Projection.DOWN));
  }

  Share share(String adapter, double weight) {
    return new Share(
        adapters.getOrDefault(adapter, adapters.values().iterator().next()).factors(), weight);
  }

  /** Returns random token ids that are text. */
  List<Integer> prompt(int length) {
    List<Integer> prompt = new ArrayList<>();
    while (prompt.size() < length) {
      int id = trial.random().nextInt(tiny.shape.vocabulary());
      if (tiny.tokenizer.isAscii(id)) {
        prompt.add(id);
      }
    }
    return prompt;
  }

  /** A generation with the logits that it was drawn from. */
  record Observed(List<Integer> prompt, GenerationResult result, List<float[]> logits) {}

  /** A generation under way whose logits are being kept. */
  record Running(List<Integer> prompt, Generation generation, List<float[]> logits) {
    Observed await(Trial trial) {
      GenerationResult result =
          Crew.await(Crew.begin(generation::await), trial.patience(), "a generation");
      return new Observed(prompt, result, logits);
    }
  }

  /** Submits a request, and keeps the logits that it is drawn from. */
  Running submit(List<Integer> prompt, UnaryOperator<GenerationRequest.Builder> how) {
    return submit(prompt, how, token -> {});
  }

  /** Submits a request that calls back for each token, and keeps the logits. */
  Running submit(
      List<Integer> prompt,
      UnaryOperator<GenerationRequest.Builder> how,
      Consumer<GeneratedToken> onToken) {
    List<float[]> logits = Collections.synchronizedList(new ArrayList<>());
    GenerationRequest request = how.apply(GenerationRequest.tokens(prompt).maxTokens(8)).build();
    RequestObserver observer =
        RequestObserver.builder()
            .onLogits((index, memory) -> logits.add(floats(memory)))
            .onToken(onToken)
            .build();
    return new Running(prompt, model.submit(request, observer), logits);
  }

  private static float[] floats(MemorySegment memory) {
    return memory.toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  Observed run(List<Integer> prompt, UnaryOperator<GenerationRequest.Builder> how) {
    return submit(prompt, how).await(trial);
  }

  /** Returns the exact logits that each token of a generation was drawn from. */
  List<double[]> exact(Observed observed, Choice choice) {
    PlainTransformer.Sequence sequence = tiny.transformer.new Sequence();
    List<double[]> logits = new ArrayList<>();
    double[] last = {};
    for (int token : observed.prompt) {
      last = sequence.next(token, choice);
    }
    for (int token : observed.result.tokens()) {
      logits.add(last);
      last = sequence.next(token, choice);
    }
    return logits;
  }

  /** Checks a generation's logits against the exact ones. */
  void expect(Observed observed, Choice choice, double tolerance, String what) {
    List<double[]> exact = exact(observed, choice);
    assertEquals(
        exact.size(), observed.logits.size(), () -> what + ": tokens whose logits were seen");
    for (int i = 0; i < exact.size(); i++) {
      double error = difference(exact.get(i), observed.logits.get(i)) / tolerance;
      int index = i;
      assertTrue(
          error <= 1,
          () -> what + ": logits of token " + index + " are off by " + error + " tolerances");
      trial.error(error);
    }
  }

  /** Returns the largest difference, relative to the largest logit. */
  static double difference(double[] exact, float[] found) {
    assertEquals(exact.length, found.length, "number of logits");
    double largest = 1e-30;
    double difference = 0;
    for (int i = 0; i < exact.length; i++) {
      largest = Math.max(largest, Math.abs(exact[i]));
      double d = Math.abs(exact[i] - found[i]);
      difference = Double.isNaN(d) ? Double.POSITIVE_INFINITY : Math.max(difference, d);
    }
    return difference / largest;
  }

  static double difference(float[] one, float[] other) {
    double[] exact = new double[one.length];
    for (int i = 0; i < one.length; i++) {
      exact[i] = one[i];
    }
    return difference(exact, other);
  }

  /** Takes all free pages, those of idle adapters and caches too. */
  int[] takeAllPages() {
    int[] pages = new int[pool.pageCount()];
    int count = 0;
    while (count < pages.length && pool.allocate(PageOwner.OTHER, pages, count, 1)) {
      count++;
    }
    return java.util.Arrays.copyOf(pages, count);
  }

  /** Waits for a state that must come. */
  void until(String what, BooleanSupplier reached) {
    long deadline = System.nanoTime() + trial.patience().toNanos();
    while (!reached.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, () -> what + ": expected, did not come; " + state());
      LockSupport.parkNanos(200_000);
    }
  }

  /** Checks that an idle model gives back all that it held. */
  void expectNothingHeld() {
    until("an idle model", () -> model.stats().running() == 0 && model.stats().queued() == 0);
    until("leases given back", () -> store.stats().leased() == 0);
    until(
        "pages given back",
        () -> {
          int[] pages = takeAllPages();
          pool.free(pages, 0, pages.length);
          return pages.length == pool.pageCount();
        });
  }

  private String state() {
    PoolStats pages = pool.stats();
    return model.stats() + ", " + pages + ", " + store.stats();
  }

  @Override
  public void close() {
    try (pool;
        store;
        model) {
      // Closed in this order: model, store, pool.
    }
  }
}
