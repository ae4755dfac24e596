package dev.lorikeet.host.serving;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.switching.Switching;
import dev.lorikeet.jlama.decoder.Decoder;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.jlama.weights.ModelWeights;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.text.HfTokenizer;
import dev.lorikeet.text.Tokenizer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A small random model and adapters on disk, computed by the decoder of this plugin. */
final class RandomLlama implements ServedModel {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(SteppedServing.LAYERS)
          .hidden(64)
          .intermediate(96)
          .heads(4)
          .kvHeads(4)
          .headDim(16)
          .vocabulary(RandomModel.VOCABULARY)
          .build();
  private static final Plugins PLUGINS = Plugins.discover();
  private static final RandomLlama WRITTEN = new RandomLlama();

  private final Architecture architecture;
  private final ModelWeights weights;
  private final HfTokenizer tokenizer;
  private final List<Path> adapters = new ArrayList<>();

  private RandomLlama() {
    try {
      Path root = Files.createTempDirectory(Files.createDirectories(Path.of("target")), "serving-");
      Path directory =
          RandomModel.llama(11)
              .widths(SHAPE.hidden(), SHAPE.intermediate())
              .heads(4, 4)
              .write(root.resolve("model"));
      for (int i = 0; i < SteppedServing.ADAPTERS; i++) {
        adapters.add(
            PeftAdapterWriter.write(root.resolve("adapter-" + i), 100 + i, 4 + 2 * i, SHAPE));
      }
      architecture = Families.read(directory);
      weights = ModelWeights.open(directory, architecture);
      tokenizer = HfTokenizer.open(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns the model, which is written and opened once. */
  static RandomLlama get() {
    return WRITTEN;
  }

  @Override
  public ModelInfo info() {
    return ModelInfo.builder(Path.of("target"), "llama", architecture.shape())
        .weightType(weights.storage())
        .maxPositions(architecture.maxPositions())
        .eosTokens(architecture.eosTokens())
        .build();
  }

  @Override
  public Tokenizer tokenizer() {
    return tokenizer;
  }

  @Override
  public PagePool openPool(int pages) {
    return PLUGINS
        .pagePool(Optional.empty())
        .open(PoolConfig.of((long) pages * SteppedServing.PAGE_BYTES, SteppedServing.PAGE_BYTES));
  }

  @Override
  public AdapterStore openStore(PagePool pool) {
    return PLUGINS.adapterStore(Optional.empty()).open(StoreConfig.of(architecture.shape(), pool));
  }

  @Override
  public AdapterSource adapter(String name, int number) {
    return new AdapterSource(name, adapters.get(number));
  }

  @Override
  public Opened openDecoder(PagePool pool, Limits limits) {
    WorkerTeam team = new WorkerTeam("stepped", 1);
    LoraExecutor executor = PLUGINS.loraExecutor(Optional.empty()).open(ExecutorConfig.of(team));
    Decoder decoder =
        new Decoder(
            architecture,
            weights,
            new Decoder.Resources(pool, team, executor),
            new Decoder.Settings(
                limits.batchTokens(), limits.logits(), ElementType.F32, Switching.DELTA));
    return new Opened(decoder, List.of(executor, team));
  }
}
