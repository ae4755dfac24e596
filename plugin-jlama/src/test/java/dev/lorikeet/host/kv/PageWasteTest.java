package dev.lorikeet.host.kv;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Plugins;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.jlama.lora.PeftAdapterWriter;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Internal waste: bytes of allocated pages that hold nothing, for a mix of adapters of ranks 8 to
 * 64 and of sequences, at the default page size and the sizes of a 135 M model.
 */
class PageWasteTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(30)
          .hidden(576)
          .intermediate(1536)
          .heads(9)
          .kvHeads(3)
          .headDim(64)
          .vocabulary(49_152)
          .build();
  private static final int[] RANKS = {8, 16, 32, 64};
  private static final int[] SHARES = {40, 30, 20, 10}; // of a hundred adapters
  private static final int SEQUENCES = 32;

  @Test
  void ofAHundredAdaptersAndABatchOfSequencesIsBelowFivePercent(@TempDir Path folder) {
    long adapterBytes = 0;
    long adapterPages = 0;
    try (PagePool pool =
            Plugins.discover().pagePool(Optional.empty()).open(PoolConfig.ofBytes(96L << 20));
        AdapterStore store =
            Plugins.discover().adapterStore(Optional.empty()).open(StoreConfig.of(SHAPE, pool))) {
      for (int i = 0; i < RANKS.length; i++) {
        String name = "rank-" + RANKS[i];
        Path files = PeftAdapterWriter.write(folder.resolve(name), i, RANKS[i], SHAPE);
        store.register(new AdapterSource(name, files));
        int before = pool.stats().adapterPages();
        try (AdapterLease lease = store.acquire(name)) {
          long bytes = lease.spec().bytes();
          int pages = pool.stats().adapterPages() - before;
          System.out.printf(
              "adapter of rank %d: %d bytes in %d pages, waste %.2f %%%n",
              RANKS[i], bytes, pages, percent(bytes, pages));
          adapterBytes += (long) SHARES[i] * bytes;
          adapterPages += (long) SHARES[i] * pages;
        }
      }
    }
    long kvBytes = 0;
    long kvPages = 0;
    KvGeometry geometry =
        KvGeometry.choose(
            ElementType.F16, PoolConfig.DEFAULT_PAGE_BYTES, SHAPE.layers(), SHAPE.kvWidth());
    Random random = new Random(1); // a fixed mix: the figure is quoted in the README
    for (int batch = 0; batch < 100; batch++) {
      for (int i = 0; i < SEQUENCES; i++) {
        int tokens = (int) Math.clamp(Math.exp(5.7 + 0.8 * random.nextGaussian()), 16, 2048);
        kvBytes += (long) tokens * SHAPE.layers() * geometry.positionBytes();
        kvPages += geometry.pagesFor(tokens);
      }
    }
    // A hundred adapters beside one batch at a time.
    double total = percent(adapterBytes + kvBytes / 100, adapterPages + kvPages / 100);
    System.out.printf(
        "pages of %d bytes, blocks of %d positions in %d pages: waste of adapters %.2f %%, of keys"
            + " and values %.2f %%, of all %.2f %%%n",
        PoolConfig.DEFAULT_PAGE_BYTES,
        geometry.blockTokens(),
        geometry.blockPages(),
        percent(adapterBytes, adapterPages),
        percent(kvBytes, kvPages),
        total);
    assertTrue(total < 5, "waste " + total + " %");
    assertTrue(percent(kvBytes, kvPages) < 5, "waste of keys and values");
  }

  private static double percent(long bytes, long pages) {
    return 100 * (1 - (double) bytes / (pages * (double) PoolConfig.DEFAULT_PAGE_BYTES));
  }
}
