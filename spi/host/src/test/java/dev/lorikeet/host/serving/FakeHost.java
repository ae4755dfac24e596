package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.host.HostedModel;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.model.ModelConfig;
import java.nio.file.Path;
import java.util.Optional;

/** Pool and store of an application that opens a fake model with threads of its own. */
final class FakeHost implements AutoCloseable {
  private static final int PAGES = 80;

  private final FakeModel model = new FakeModel();
  final PagePool pool = model.openPool(PAGES);
  final AdapterStore store = model.openStore(pool);

  FakeHost() {
    for (int i = 0; i < SteppedServing.ADAPTERS; i++) {
      store.register(model.adapter("a" + i, i));
    }
  }

  /** Opens the model, which fails as the test says. */
  HostedModel open(FaultyDecoder.Fault fault) {
    return open(new FakeModel(fault));
  }

  HostedModel open(FakeModel served) {
    ServingOptions options = SteppedServing.options(Policy.FCFS, 4, true);
    ModelConfig config =
        ModelConfig.of(
            Path.of("fake"),
            pool,
            store,
            workers -> {
              throw new UnsupportedOperationException();
            });
    try (HostedModel.Opening opening = HostedModel.opening(config, options)) {
      StepDecoder decoder = opening.owns(served.openDecoder(pool, options.limits()).decoder());
      return opening.open(served.info(), decoder, served.tokenizer(), Optional.empty());
    }
  }

  /** Fails if a model that was closed has left something behind. */
  void expectNothingHeld() {
    assertEquals(0, store.stats().leased(), "leases");
    assertEquals(0, pool.stats().kvCachePages(), "pages of keys and values");
    assertEquals(0, threads(), "threads of the model");
  }

  private static long threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(thread -> thread.isAlive() && thread.getName().startsWith("lorikeet-"))
        .count();
  }

  @Override
  public void close() {
    store.close();
    assertEquals(0, pool.stats().usedPages(), "pages in use at the end");
    pool.close();
  }
}
