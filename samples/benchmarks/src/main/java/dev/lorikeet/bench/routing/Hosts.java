package dev.lorikeet.bench.routing;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.Plugins;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.function.ObjIntConsumer;

/**
 * The same model, opened once for each kind of host that the variants need, all over the same
 * mapped weights.
 */
final class Hosts implements AutoCloseable {
  private static final long POOL_BYTES = 512L << 20;
  private static final int PROMPT_TOKENS = 8;

  private final Path model;
  private final Map<String, Path> adapters;
  private final Path tokenGate;
  private final Path layerGate;
  private final int vocabulary;
  private final int threads;
  private final Map<Variant.Host, Lorikeet> opened = new HashMap<>();
  private final List<Router> gates = new ArrayList<>();

  Hosts(
      Path model,
      Map<String, Path> adapters,
      Path tokenGate,
      Path layerGate,
      int vocabulary,
      int threads) {
    this.model = model;
    this.adapters = adapters;
    this.tokenGate = tokenGate;
    this.layerGate = layerGate;
    this.vocabulary = vocabulary;
    this.threads = threads;
  }

  private Lorikeet get(Variant.Host host) {
    return opened.computeIfAbsent(host, this::open);
  }

  private Lorikeet open(Variant.Host host) {
    Lorikeet.Builder builder =
        Lorikeet.builder(model)
            .poolBytes(POOL_BYTES)
            .loraExecutor(host.perModule() ? PerModuleExecutorProvider.NAME : "cpu-vector")
            .modelOption("threads", Integer.toString(threads))
            .modelOption("switching", host.switching());
    Lorikeet lorikeet = builder.open();
    adapters.forEach(lorikeet::register);
    addGate(lorikeet, Variant.TOKEN_GATE, tokenGate);
    addGate(lorikeet, Variant.LAYER_GATE, layerGate);
    return lorikeet;
  }

  private void addGate(Lorikeet lorikeet, String name, Path directory) {
    RouterConfig config =
        RouterConfig.of(lorikeet.model().info()).withOptions(Map.of("path", directory.toString()));
    Router router = Plugins.discover().router("gate").open(config);
    gates.add(router);
    lorikeet.addRouter(name, router);
  }

  /**
   * Decodes a batch of sequences.
   *
   * @param adapt gives a request its adapters
   * @return how long it took
   */
  Times decode(
      Variant.Host host,
      int batch,
      int tokens,
      long seed,
      ObjIntConsumer<GenerationRequest.Builder> adapt) {
    Lorikeet lorikeet = get(host);
    SplittableRandom random = new SplittableRandom(seed);
    AtomicLongArray firsts = new AtomicLongArray(batch);
    List<Generation> generations = new ArrayList<>();
    long start = System.nanoTime();
    for (int i = 0; i < batch; i++) {
      int sequence = i;
      List<Integer> prompt = new ArrayList<>();
      for (int t = 0; t < PROMPT_TOKENS; t++) {
        prompt.add(3 + random.nextInt(vocabulary - 3));
      }
      GenerationRequest.Builder request =
          GenerationRequest.tokens(prompt).stop(StopConditions.maxTokens(tokens).ignoringEos());
      adapt.accept(request, i);
      generations.add(
          lorikeet.submit(
              request.build(),
              RequestObserver.tokens(
                  token -> firsts.compareAndSet(sequence, 0, System.nanoTime()))));
    }
    generations.forEach(Generation::await);
    long end = System.nanoTime();
    long begin = firsts.get(0);
    for (int i = 1; i < batch; i++) {
      begin = Math.max(begin, firsts.get(i));
    }
    return new Times((end - begin) / 1e9, (end - start) / 1e9);
  }

  /**
   * How long a batch took, in seconds.
   *
   * @param decode from the moment when all sequences had their first token to the last token
   * @param whole from the first request, with prefill and whatever comes before the first token
   */
  record Times(double decode, double whole) {}

  @Override
  public void close() {
    opened.values().forEach(Lorikeet::close);
    gates.forEach(Router::close);
  }
}
