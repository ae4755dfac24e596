package dev.lorikeet.host.serving;

import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.conformance.pool.LentPool;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;

/**
 * A model without files and without native code: a hash for a forward pass, and what a test puts
 * in.
 */
final class FakeModel implements ServedModel {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(SteppedServing.LAYERS)
          .hidden(8)
          .intermediate(8)
          .heads(1)
          .kvHeads(1)
          .headDim(64)
          .vocabulary(SteppedServing.VOCABULARY)
          .build();

  private final Tokenizer tokenizer;
  private final UnaryOperator<StepDecoder> decoder;
  private int[] windows = {KvCache.NO_WINDOW, KvCache.NO_WINDOW};
  private boolean forgets;

  FakeModel() {
    this(new FakeTokenizer());
  }

  FakeModel(Tokenizer tokenizer) {
    this.tokenizer = tokenizer;
    this.decoder = UnaryOperator.identity();
  }

  FakeModel(FaultyDecoder.Fault fault) {
    this.tokenizer = new FakeTokenizer();
    this.decoder = sound -> new FaultyDecoder(sound, fault);
  }

  /**
   * Returns a model whose layers see through windows.
   *
   * @param forgets whether its cache gives back what no layer sees
   */
  static FakeModel withWindows(boolean forgets, int... windows) {
    FakeModel model = new FakeModel();
    model.windows = windows.clone();
    model.forgets = forgets;
    return model;
  }

  @Override
  public ModelInfo info() {
    return ModelInfo.builder(Path.of("fake"), "fake", SHAPE)
        .weightType("F32")
        .maxPositions(2048)
        .eosTokens(Set.of(2))
        .build();
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public PagePool openPool(int pages) {
    return new LentPool(
        PoolConfig.of((long) pages * SteppedServing.PAGE_BYTES, SteppedServing.PAGE_BYTES));
  }

  @Override
  public AdapterStore openStore(PagePool pool) {
    return new FakeStore(pool);
  }

  @Override
  public AdapterSource adapter(String name, int number) {
    return new AdapterSource(name, Path.of(String.valueOf(number)));
  }

  @Override
  public Opened openDecoder(PagePool pool, Limits limits) {
    KvCache kv =
        forgets
            ? new KvCache(pool, ElementType.F32, windows, SHAPE.kvWidth())
            : new KvCache(pool, ElementType.F32, SHAPE.layers(), SHAPE.kvWidth());
    StepDecoder fake = new FakeDecoder(SHAPE, kv, windows, pool, limits);
    return new Opened(decoder.apply(fake), List.of());
  }
}
