package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.memory.PoolConfig;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The life of adapters in a pool that holds three of them. */
class ArrowAdapterStoreTest {
  private static final int PAGE = 4096;
  private static final int PAGES_EACH = 2;
  private static final TargetModule Q0 = TargetModule.of(0, Projection.Q);

  @TempDir Path directory;
  private PagePool pool;
  private AdapterStore store;

  @BeforeEach
  void open() {
    pool = new ArrowPagePoolProvider().open(PoolConfig.of((3L * PAGES_EACH + 1) * PAGE, PAGE));
    store = openStore();
  }

  @AfterEach
  void close() {
    store.close();
    assertEquals(0, pool.stats().usedPages());
    pool.close();
  }

  private AdapterStore openStore() {
    return new ArrowAdapterStoreProvider().open(StoreConfig.of(PeftWriter.SHAPE, pool));
  }

  /** Writes an adapter of 2 layers x 16 rows x (24 + 24) x 4 bytes: 6,144 bytes, two pages. */
  private Path write(String name, long seed) {
    return PeftWriter.of(PeftWriter.SHAPE, 16, "F32", EnumSet.of(Projection.Q), new Random(seed))
        .write(directory.resolve(name));
  }

  private AdapterSpec register(String id) {
    return store.register(new AdapterSource(id, write(id, id.hashCode())));
  }

  @Test
  void registrationCostsNoPagesAndAcquiringLoadsOnce() {
    AdapterSpec spec = register("a");
    assertEquals(0, pool.stats().usedPages());
    assertEquals(spec, store.find("a").orElseThrow());
    assertTrue(store.acquireIfResident("a").isEmpty());
    try (AdapterLease one = store.acquire("a");
        AdapterLease two = store.acquireIfResident("a").orElseThrow()) {
      assertSame(one.weights(Q0), two.weights(Q0));
      assertEquals(PAGES_EACH, pool.stats().adapterPages());
      var stats = store.stats();
      assertEquals(1, stats.loads());
      assertEquals(1, stats.hits());
      assertEquals(1, stats.leased());
      assertEquals(6144, stats.residentBytes());
      assertEquals(PAGES_EACH, stats.residentPages());
    }
    assertEquals(0, store.stats().leased());
    assertEquals(1, store.stats().resident());
  }

  @Test
  void theKeyValueCacheMayUseWhatIdleAdaptersHold() {
    List.of("a", "b", "c")
        .forEach(
            id -> {
              register(id);
              store.acquire(id).close();
            });
    int[] pages = new int[4];
    assertTrue(pool.allocate(PageOwner.KV_CACHE, pages, 0, 4));
    assertEquals(1, store.stats().resident());
    assertTrue(store.acquireIfResident("a").isEmpty());
    assertTrue(store.acquireIfResident("b").isEmpty());
    store.acquireIfResident("c").orElseThrow().close();
    pool.free(pages, 0, 4);
  }

  @Test
  void filesThatChangedSinceRegistrationAreRefusedUntilRegisteredAgain() throws IOException {
    register("a");
    store.acquire("a").close();
    evictAll();
    Path other = write("other", 5);
    for (String file : List.of("adapter_model.safetensors", "adapter_config.json")) {
      byte[] kept = Files.readAllBytes(directory.resolve("a").resolve(file));
      byte[] changed = Files.readAllBytes(other.resolve(file));
      if (file.endsWith(".json")) {
        changed =
            new String(kept, java.nio.charset.StandardCharsets.UTF_8)
                .replace("\"lora_alpha\" : 32", "\"lora_alpha\" : 31")
                .getBytes(java.nio.charset.StandardCharsets.UTF_8);
      }
      Files.write(directory.resolve("a").resolve(file), changed);
      var thrown = assertThrows(LorikeetException.class, () -> store.acquire("a"));
      assertEquals(Code.ADAPTER_INVALID, thrown.code());
      Expect.mentions(thrown, "register it again");
      assertEquals(0, pool.stats().usedPages());
      Files.write(directory.resolve("a").resolve(file), kept);
      store.acquire("a").close();
      evictAll();
    }
    Files.delete(directory.resolve("a").resolve("adapter_model.safetensors"));
    var thrown = assertThrows(LorikeetException.class, () -> store.acquire("a"));
    assertEquals(Code.ADAPTER_INVALID, thrown.code());
    assertEquals(0, pool.stats().usedPages());
  }

  private void evictAll() {
    int[] all = new int[pool.pageCount()];
    assertTrue(pool.allocate(PageOwner.OTHER, all, 0, all.length));
    pool.free(all, 0, all.length);
  }

  @Test
  void adaptersThatCanNeverFitAreTooLargeAtRegistration() {
    var random = new Random(1);
    Path rank =
        PeftWriter.of(PeftWriter.SHAPE, 300, "F32", EnumSet.of(Projection.Q), random)
            .write(directory.resolve("rank"));
    var thrown =
        assertThrows(
            LorikeetException.class, () -> store.register(new AdapterSource("rank", rank)));
    assertEquals(Code.TOO_LARGE, thrown.code());
    Expect.mentions(thrown, "adapter_model.safetensors", "7 pages");
    var wide =
        dev.lorikeet.shape.ModelShape.builder()
            .layers(1)
            .hidden(8)
            .intermediate(1025)
            .heads(1)
            .kvHeads(1)
            .headDim(8)
            .vocabulary(10)
            .build();
    Path row =
        PeftWriter.of(wide, 1, "F32", EnumSet.of(Projection.DOWN), random)
            .write(directory.resolve("row"));
    PagePool singles = WithoutRuns.of(pool);
    try (AdapterStore other = new ArrowAdapterStoreProvider().open(StoreConfig.of(wide, singles))) {
      thrown =
          assertThrows(
              LorikeetException.class, () -> other.register(new AdapterSource("row", row)));
      assertEquals(Code.TOO_LARGE, thrown.code());
      Expect.mentions(thrown, "4096 bytes", "larger pages");
    }
    assertTrue(store.list().isEmpty());
  }

  @Test
  void prefetchBringsAdaptersInBeforeTheyAreAskedFor() throws InterruptedException {
    register("a");
    register("b");
    store.prefetch(List.of("a", "b", "a", "unknown"));
    store.prefetch(List.of("a"));
    try (AdapterLease a = store.acquire("a");
        AdapterLease b = store.acquire("b")) {
      assertEquals(2, store.stats().loads());
      assertTrue(a.weights(Q0).isPresent() && b.weights(Q0).isPresent());
    }
  }

  @Test
  void anInterruptedThreadStillGetsItsLeaseAndStaysInterrupted() {
    register("a");
    Thread.currentThread().interrupt();
    try (AdapterLease lease = store.acquire("a")) {
      assertTrue(lease.weights(Q0).isPresent());
    } finally {
      assertTrue(Thread.interrupted());
    }
  }

  @Test
  void specificationsAreListedByName() {
    List.of("c", "a", "b").forEach(this::register);
    assertEquals(List.of("a", "b", "c"), store.list().stream().map(AdapterSpec::id).toList());
    assertSame(store.list().get(0).targets(), store.list().get(1).targets());
  }

  @Test
  void optionsAreChecked() {
    var config =
        StoreConfig.of(PeftWriter.SHAPE, pool).withOptions(Map.of("prefetch-threads", "0"));
    var thrown =
        assertThrows(
            IllegalArgumentException.class, () -> new ArrowAdapterStoreProvider().open(config));
    Expect.mentions(thrown, "prefetch-threads", "1 to 64", "0");
  }

  @Test
  void aPoolThatIsNotInHostMemoryIsRefused() {
    var elsewhere =
        (PagePool)
            Proxy.newProxyInstance(
                PagePool.class.getClassLoader(),
                new Class<?>[] {PagePool.class},
                (self, method, arguments) ->
                    method.getName().equals("device")
                        ? new Device("cuda", 1)
                        : method.invoke(pool, arguments));
    var config = StoreConfig.of(PeftWriter.SHAPE, elsewhere);
    var thrown =
        assertThrows(
            IllegalArgumentException.class, () -> new ArrowAdapterStoreProvider().open(config));
    Expect.mentions(thrown, "'arrow'", "host memory", "cuda:1");
  }

  @Test
  void thousandsOfRegisteredAdaptersShareTheirDescriptionAndTakeNoPages() {
    List<Path> paths = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      paths.add(write("shared-" + i, i));
    }
    int adapters = 2000;
    for (int i = 0; i < adapters; i++) {
      store.register(new AdapterSource("a" + i, paths.get(i % paths.size())));
    }
    assertEquals(adapters, store.stats().registered());
    assertEquals(0, pool.stats().usedPages());
    var targets = store.find("a0").orElseThrow().targets();
    store.list().forEach(spec -> assertSame(targets, spec.targets()));
    for (int i = 0; i < 20; i++) {
      store.acquire("a" + i * 97).close();
    }
    assertEquals(3, store.stats().resident());
  }
}
