package dev.lorikeet.conformance.store;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSource;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterStoreProvider;
import dev.lorikeet.adapter.StoreConfig;
import dev.lorikeet.conformance.files.PeftFiles;
import dev.lorikeet.conformance.files.PeftFiles.Form;
import dev.lorikeet.conformance.files.Safetensors;
import dev.lorikeet.conformance.trial.Crew;
import dev.lorikeet.conformance.trial.Expect;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.memory.PagePool;
import dev.lorikeet.shape.TargetModule;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Rules S9 to S17 as tests: leases, eviction and closing. */
public abstract class StoreRules extends AdapterFileRules {
  private static final Form FORM = PeftFiles.form(20);

  protected StoreRules() {}

  @Override
  protected abstract Optional<AdapterStoreProvider> provider();

  @Override
  protected final void openAndClose(Map<String, String> options) {
    try (PagePool pool = pool(8)) {
      provider()
          .orElseThrow()
          .open(StoreConfig.of(PeftFiles.SHAPE, pool).withOptions(options))
          .close();
    }
  }

  /** Takes all pages that can be had and fills them with noise, then gives them back. */
  private void churn(PagePool pool) {
    List<Integer> taken = new ArrayList<>();
    int[] page = new int[1];
    while (pool.allocate(PageOwner.OTHER, page, 0, 1)) {
      taken.add(page[0]);
      pool.page(page[0]).fill((byte) trial.random().nextInt());
    }
    pool.free(taken.stream().mapToInt(Integer::intValue).toArray(), 0, taken.size());
  }

  @Test
  public final void required_S9_unknownNamesAreNotFound() {
    try (PagePool pool = pool(50);
        AdapterStore store = open(pool)) {
      Expect.rejection(
          "acquire of an unknown name",
          Code.ADAPTER_NOT_FOUND,
          () -> store.acquire("nobody"),
          "nobody");
    }
  }

  @Test
  public final void required_S9_noRoomNowIsSaidAndRoomLaterIsUsed() {
    int pages = pagesOf(FORM);
    try (PagePool pool = pool(pages * 2 - 1);
        AdapterStore store = sound(pool)) {
      PeftFiles first = random(FORM);
      PeftFiles second = random(FORM);
      register(store, "first", first);
      register(store, "second", second);
      try (AdapterLease held = store.acquire("first")) {
        Expect.rejection(
            "acquire without room", Code.POOL_EXHAUSTED, () -> store.acquire("second"));
        first.expectServedBy(held);
      }
      try (AdapterLease lease = store.acquire("second")) {
        second.expectServedBy(lease);
      }
    }
  }

  @Test
  public final void required_S10_leasedWeightsStayWhateverHappens() {
    int pages = pagesOf(FORM);
    try (PagePool pool = pool(pages * 3);
        AdapterStore store = sound(pool)) {
      List<PeftFiles> files = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        files.add(random(FORM));
        register(store, "a" + i, files.get(i));
      }
      try (AdapterLease held = store.acquire("a0")) {
        List<Long> addresses = addresses(held);
        for (int round = 0; round < trial.trials(2); round++) {
          for (int i = 1; i < 4; i++) {
            try (AdapterLease other = store.acquire("a" + i)) {
              files.get(i).expectServedBy(other);
              files.get(0).expectServedBy(held);
            }
          }
          churn(pool);
          files.get(0).expectServedBy(held);
          assertEquals(addresses, addresses(held), "addresses of leased weights");
          register(store, "a0", random(FORM));
          store.unregister(round % 2 == 0 ? "a0" : "a1");
          register(store, "a1", files.get(1));
          churn(pool);
          files.get(0).expectServedBy(held);
        }
      }
    }
  }

  private static List<Long> addresses(AdapterLease lease) {
    List<Long> addresses = new ArrayList<>();
    lease
        .spec()
        .targets()
        .forEach(
            t -> {
              var weights = lease.weights(t.target()).orElseThrow();
              for (int r = 0; r < weights.rank(); r++) {
                addresses.add(weights.a().memory().address() + weights.a().rowOffset(r));
                addresses.add(weights.b().memory().address() + weights.b().rowOffset(r));
              }
            });
    return addresses;
  }

  @Test
  public final void required_S11_aNameRegisteredAnewGetsNewWeightsAndGeneration() {
    try (PagePool pool = pool(200);
        AdapterStore store = sound(pool)) {
      PeftFiles old = random(FORM);
      PeftFiles fresh = random(PeftFiles.form(3));
      AdapterSpec first = register(store, "name", old);
      try (AdapterLease before = store.acquire("name")) {
        AdapterSpec second = register(store, "name", fresh);
        assertNotEquals(first.generation(), second.generation(), "generation");
        assertEquals(second, store.find("name").orElseThrow(), "find");
        assertEquals(1, store.list().size(), "names in the list");
        try (AdapterLease after = store.acquire("name")) {
          assertEquals(second, after.spec(), "spec of a later lease");
          fresh.expectServedBy(after);
          assertEquals(first, before.spec(), "spec of the lease before");
          old.expectServedBy(before);
        }
        old.expectServedBy(before);
      }
      Set<Long> generations = new HashSet<>();
      for (int i = 0; i < 20; i++) {
        String name = i % 2 == 0 ? "name" : "other" + i;
        assertTrue(
            generations.add(register(store, name, random(PeftFiles.form(1))).generation()),
            "generations: expected each to be used once");
      }
    }
  }

  @Test
  public final void required_S12_unregisteredNamesAreUnknownAtOnce() {
    try (PagePool pool = pool(200);
        AdapterStore store = sound(pool)) {
      PeftFiles files = random(FORM);
      register(store, "name", files);
      int before = pool.stats().usedPages();
      try (AdapterLease held = store.acquire("name")) {
        assertTrue(store.unregister("name"), "unregister of a known name");
        assertFalse(store.unregister("name"), "unregister of an unknown name");
        Expect.rejection("acquire", Code.ADAPTER_NOT_FOUND, () -> store.acquire("name"));
        assertTrue(store.acquireIfResident("name").isEmpty(), "acquireIfResident");
        assertTrue(store.find("name").isEmpty(), "find");
        assertTrue(store.list().isEmpty(), "list");
        files.expectServedBy(held);
      }
      assertEquals(
          0, pool.stats().usedPages(), () -> "pages after the last lease; before " + before);
      register(store, "unleased", files);
      store.acquire("unleased").close();
      store.unregister("unleased");
      assertEquals(0, pool.stats().usedPages(), "pages after unregister without leases");
    }
  }

  @Test
  public final void required_S13_theLeastRecentlyUsedLeavesFirstAndComesBackTheSame() {
    int pages = pagesOf(FORM);
    try (PagePool pool = pool(pages * 3);
        AdapterStore store = sound(pool)) {
      List<PeftFiles> files = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        files.add(random(FORM));
        register(store, "a" + i, files.get(i));
      }
      for (int i : new int[] {0, 1, 2, 0}) {
        store.acquire("a" + i).close();
      }
      try (AdapterLease newcomer = store.acquire("a3")) {
        files.get(3).expectServedBy(newcomer);
        assertTrue(resident(store, "a0"), "the most recently used of three must stay");
        assertFalse(resident(store, "a1"), "the least recently used of three must leave");
        int[] all = new int[pages * 3];
        assertFalse(pool.allocate(PageOwner.KV_CACHE, all, 0, all.length), "leased pages too");
        files.get(3).expectServedBy(newcomer);
        int[] rest = new int[pages * 2];
        assertTrue(
            pool.allocate(PageOwner.KV_CACHE, rest, 0, rest.length),
            "pages of all adapters without leases");
        pool.free(rest, 0, rest.length);
      }
      for (int i = 0; i < 4; i++) {
        try (AdapterLease again = store.acquire("a" + i)) {
          files.get(i).expectServedBy(again);
        }
      }
    }
  }

  private static boolean resident(AdapterStore store, String id) {
    Optional<AdapterLease> lease = store.acquireIfResident(id);
    lease.ifPresent(AdapterLease::close);
    return lease.isPresent();
  }

  @Test
  public final void required_S14_closedLeasesServeNoWeights() {
    try (PagePool pool = pool(100);
        AdapterStore store = sound(pool)) {
      AdapterSpec spec = register(store, "name", random(FORM));
      TargetModule target = spec.targets().getFirst().target();
      AdapterLease first = store.acquire("name");
      AdapterLease second = store.acquire("name");
      assertTrue(
          first.weights(TargetModule.of(1, target.projection())).isEmpty(),
          "weights of a module that the adapter does not change");
      first.close();
      assertDoesNotThrow(first::close, "second close");
      Expect.closed("weights", () -> first.weights(target));
      assertEquals(spec, first.spec(), "spec after close");
      assertTrue(second.weights(target).isPresent(), "weights of the other lease");
      second.close();
      second.close();
      store.unregister("name");
      assertEquals(0, pool.stats().usedPages(), "pages after the last lease");
    }
  }

  @Test
  public final void required_S15_residenceIsToldWithoutReading() {
    try (PagePool pool = pool(pagesOf(FORM) * 2);
        AdapterStore store = sound(pool)) {
      assertTrue(store.acquireIfResident("nobody").isEmpty(), "an unknown name");
      PeftFiles files = random(FORM);
      register(store, "name", files);
      if (store.stats().resident() == 0) {
        assertTrue(store.acquireIfResident("name").isEmpty(), "an adapter that was never loaded");
        assertEquals(0, pool.stats().usedPages(), "pages after acquireIfResident");
      }
      store.acquire("name").close();
      try (AdapterLease lease = store.acquireIfResident("name").orElseThrow()) {
        files.expectServedBy(lease);
      }
      churn(pool);
      assertTrue(store.acquireIfResident("name").isEmpty(), "an adapter that was evicted");
      assertEquals(0, pool.stats().usedPages(), "pages after acquireIfResident");
    }
  }

  @Test
  public final void required_S15_prefetchNeverThrows() {
    try (PagePool pool = pool(100);
        AdapterStore store = sound(pool)) {
      PeftFiles files = random(FORM);
      register(store, "name", files);
      Path lost = files.write(folder());
      store.register(new AdapterSource("lost", lost));
      Safetensors.write(lost.resolve(PeftFiles.WEIGHTS), new byte[] {1, 2, 3});
      assertDoesNotThrow(
          () -> store.prefetch(List.of("nobody", "name", "lost")), "prefetch of unknown names");
      try (AdapterLease lease = store.acquire("name")) {
        files.expectServedBy(lease);
      }
    }
  }

  @Test
  public final void stochastic_S16_threadsLeaveEveryPageAccountedFor() {
    int threads = 4;
    try (PagePool pool = pool(pagesOf(FORM) * 3);
        AdapterStore store = sound(pool)) {
      List<PeftFiles> files = new ArrayList<>();
      List<Path> folders = new ArrayList<>();
      for (int i = 0; i < 5; i++) {
        files.add(random(FORM));
        folders.add(files.get(i).write(folder()));
        store.register(new AdapterSource("a" + i, folders.get(i)));
      }
      long seed = trial.random().nextLong();
      Crew.run(
          threads,
          trial.patience(),
          thread -> {
            var random = new SplittableRandom(seed + thread);
            for (int step = 0; step < trial.trials(60); step++) {
              int i = random.nextInt(files.size());
              act(store, "a" + i, files.get(i), folders.get(i), random.nextInt(12));
            }
          });
      assertEquals(0, store.stats().leased(), "leased adapters");
      assertEquals(
          pool.stats().adapterPages(), store.stats().residentPages(), "pages of residents");
      for (int i = 0; i < 5; i++) {
        store.unregister("a" + i);
      }
      assertEquals(0, pool.stats().usedPages(), "pages after all were unregistered");
    }
  }

  private static void act(AdapterStore store, String id, PeftFiles files, Path folder, int action) {
    switch (action) {
      case 0 -> store.unregister(id);
      case 1, 2 -> store.register(new AdapterSource(id, folder));
      case 3 -> store.prefetch(List.of(id));
      case 4 -> store.acquireIfResident(id).ifPresent(lease -> serveAndClose(lease, files));
      default -> {
        try {
          serveAndClose(store.acquire(id), files);
        } catch (LorikeetException e) {
          if (e.code() != Code.ADAPTER_NOT_FOUND && e.code() != Code.POOL_EXHAUSTED) {
            throw e;
          }
        }
      }
    }
  }

  private static void serveAndClose(AdapterLease lease, PeftFiles files) {
    try (lease) {
      files.expectServedBy(lease);
    }
  }

  @Test
  public final void required_S17_closeReturnsPagesAndNamesWhatIsLeased() {
    try (PagePool pool = pool(200)) {
      AdapterStore store = sound(pool);
      PeftFiles files = random(FORM);
      register(store, "held-one", files);
      register(store, "free-one", random(FORM));
      store.acquire("free-one").close();
      AdapterLease held = store.acquire("held-one");
      int leased = pool.stats().usedPages();
      IllegalStateException refusal =
          assertThrows(IllegalStateException.class, store::close, "close with an open lease");
      Expect.message(refusal, "held-one");
      assertFalse(
          String.valueOf(refusal.getMessage()).contains("free-one"),
          "the message names what is not leased");
      assertTrue(leased == 0 || pool.stats().usedPages() < leased, "pages that were not leased");
      assertDoesNotThrow(store::close, "second close");
      files.expectServedBy(held);
      held.close();
      assertEquals(0, pool.stats().usedPages(), "pages after the last lease");

      AdapterStore empty = open(pool);
      register(empty, "name", files);
      empty.acquire("name").close();
      empty.close();
      assertDoesNotThrow(empty::close, "second close");
      assertEquals(0, pool.stats().usedPages(), "pages after close");
      Expect.closed("acquire", () -> empty.acquire("name"));
      Expect.closed("register", () -> register(empty, "name", files));
    }
  }
}
