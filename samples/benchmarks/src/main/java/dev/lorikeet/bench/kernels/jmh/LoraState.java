package dev.lorikeet.bench.kernels.jmh;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.executor.ExecutorConfig;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.jlama.kernel.WorkerTeam;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** The CPU executor and adapters of rank 16 on all projections of a 135 M Llama, in pages. */
final class LoraState implements AutoCloseable {
  static final int RANK = 16;
  private static final long POOL_BYTES = 256L << 20;

  final ModelShape shape = Preset.M135.shape();
  final Arena arena = Arena.ofShared();
  final LoraExecutor executor;
  final List<AdapterLease> adapters = new ArrayList<>();
  private final WorkerTeam team =
      new WorkerTeam("bench", Runtime.getRuntime().availableProcessors());
  private final PagePool pool;
  private final AdapterStore store;
  private final Path folder;

  LoraState(int count) throws IOException {
    Plugins plugins = Plugins.discover();
    pool = plugins.pagePool(Optional.empty()).open(PoolConfig.ofBytes(POOL_BYTES));
    store = plugins.adapterStore(Optional.empty()).open(StoreConfig.of(shape, pool));
    executor = plugins.loraExecutor(Optional.of("cpu-vector")).open(ExecutorConfig.of(team));
    folder = Files.createTempDirectory("lorikeet-bench-");
    for (int i = 0; i < count; i++) {
      Path directory = folder.resolve("adapter-" + i);
      RandomWeights.writeAdapter(directory, shape, RANK, i);
      store.register(new AdapterSource("a" + i, directory));
      adapters.add(store.acquire("a" + i));
    }
  }

  @Override
  public void close() throws IOException {
    adapters.forEach(AdapterLease::close);
    executor.close();
    store.close();
    pool.close();
    team.close();
    arena.close();
    try (Stream<Path> files = Files.walk(folder)) {
      for (Path file : files.sorted(java.util.Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
