package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.BLOCK;
import static dev.lorikeet.host.serving.SteppedServing.BLOCK_PAGES;
import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.RequestObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The table of the README: who waits, who is preempted, what is evicted, what is refused. */
@Timeout(300)
class AdmissionTest {
  private final Random random = new Random(9);
  private final List<String> order = new ArrayList<>();

  private static SteppedServing open(int sequences, int pages) {
    return new SteppedServing(SteppedServing.options(Policy.FCFS, sequences, true), pages);
  }

  private Generation submit(SteppedServing stepped, String name, int length, int tokens) {
    return submit(stepped, name, length, tokens, 0);
  }

  /** Submits a request that notes its name when it gets its first and its last token. */
  private Generation submit(
      SteppedServing stepped, String name, int length, int tokens, int priority) {
    return stepped.submit(
        request(prompt(random, length), tokens).priority(priority),
        RequestObserver.tokens(
            token -> {
              if (token.index() == 0) {
                order.add(name);
              }
              if (token.index() == tokens - 1) {
                order.add(name + " ends");
              }
            }));
  }

  @Test
  void aRequestThatFindsNoPagesIsNotPassedByLaterOnes() {
    // Ten blocks: the first takes five, the second needs six, the third one.
    try (SteppedServing stepped = open(4, 10 * BLOCK_PAGES)) {
      submit(stepped, "first", 4 * BLOCK, 7);
      stepped.step();
      submit(stepped, "large", 6 * BLOCK - 2, 2);
      submit(stepped, "small", 2, 2);
      stepped.finish(1000);
    }
    assertEquals(List.of("first", "first ends", "large"), order.subList(0, 3));
  }

  @Test
  void aRequestWhoseAdapterIsBeingLoadedLetsOthersPass() {
    try (SteppedServing stepped = open(1, 200)) {
      Generation adapted = stepped.submit(request(List.of(4, 5), 2).adapter("a3"));
      stepped.step();
      assertEquals(1, stepped.loaders.size());
      Generation base = stepped.submit(request(List.of(4, 5), 2));
      stepped.step();
      stepped.step();
      assertEquals(2, base.await().tokens().size());
      assertFalse(adapted.completion().isDone());
      stepped.finish(100);
      assertEquals(2, adapted.await().tokens().size());
    }
  }

  @Test
  void aRequestWhoseAdapterFindsNoRoomIsNotPassedForever() {
    int pages = 2 * BLOCK_PAGES + SteppedServing.LARGEST_ADAPTER_PAGES;
    try (SteppedServing stepped = open(3, pages)) {
      submit(stepped, "one", 2, 5);
      submit(stepped, "two", 2, 9);
      submit(stepped, "three", 2, 14);
      stepped.step();
      Generation adapted =
          stepped.submit(
              request(List.of(4, 5), 2).adapter("a5"),
              RequestObserver.tokens(token -> order.add("adapted")));
      // Small ones never cease to come, and each of them would fit.
      for (int i = 0; i < 60 && !order.contains("adapted"); i++) {
        if (stepped.serving.stats().queued() < 3) {
          submit(stepped, "late", 2, 4);
        }
        stepped.loaders.runNext();
        stepped.step();
      }
      assertTrue(order.contains("adapted"), order::toString);
      stepped.finish(1000);
      assertEquals(2, adapted.await().tokens().size());
    }
  }

  @Test
  void theLowestPriorityAmongThoseTheLatestGivesItsPagesBack() {
    // Nine blocks for three sequences of five at the end.
    try (SteppedServing stepped = open(3, 9 * BLOCK_PAGES)) {
      List<Generation> all =
          List.of(
              submit(stepped, "early", BLOCK, 4 * BLOCK),
              submit(stepped, "late", BLOCK, 4 * BLOCK),
              submit(stepped, "urgent", BLOCK, 4 * BLOCK, 1));
      stepped.finish(1000);
      all.forEach(Generation::await);
      assertTrue(stepped.serving.scheduler().preemptions() > 0, "nothing was preempted");
    }
    order.removeIf(name -> !name.endsWith("ends"));
    assertEquals(List.of("urgent ends", "early ends", "late ends"), order);
  }

  @Test
  void cachedBlocksThenIdleAdaptersMakeRoomForSequencesAndLeasedOnesNever() {
    try (SteppedServing stepped = open(2, 60)) {
      try (AdapterLease lease = stepped.store.acquire("a0")) {
        int adapter = stepped.pool.stats().adapterPages();
        stepped.store.acquire("a1").close();
        int idle = stepped.pool.stats().adapterPages() - adapter;
        stepped.run(request(prompt(random, 4 * BLOCK), 1));
        int cached = stepped.pool.stats().kvCachePages();
        assertEquals(4 * BLOCK_PAGES, cached);
        int[] rest = new int[60 - adapter - idle - cached];
        assertTrue(stepped.pool.allocate(PageOwner.OTHER, rest, 0, rest.length));
        // As large as the cache: the idle adapter stays.
        stepped.run(request(prompt(random, 4 * BLOCK - 3), 2));
        assertEquals(adapter + idle, stepped.pool.stats().adapterPages());
        // Larger: it leaves, and the leased one stays.
        stepped.run(request(prompt(random, 5 * BLOCK - 3), 2));
        assertEquals(adapter, stepped.pool.stats().adapterPages());
        // Larger than all that can leave: it waits.
        Generation waiting =
            stepped.submit(
                request(prompt(random, (60 - rest.length) / BLOCK_PAGES * BLOCK - 8), 2));
        for (int i = 0; i < 50; i++) {
          stepped.step();
        }
        assertFalse(waiting.completion().isDone());
        stepped.pool.free(rest, 0, rest.length);
        stepped.finish(1000);
        assertEquals(2, waiting.await().tokens().size());
        assertEquals(lease.spec().id(), "a0");
      }
    }
  }

  @Test
  void whatCanNeverFitIsRefusedAtSubmission() {
    try (SteppedServing stepped = open(2, 20)) {
      LorikeetException tokens =
          assertThrows(
              LorikeetException.class,
              () -> stepped.submit(request(prompt(random, 9 * BLOCK), 2 * BLOCK)));
      assertEquals(Code.TOO_LARGE, tokens.code());
      LorikeetException withAdapter =
          assertThrows(
              LorikeetException.class,
              () -> stepped.submit(request(prompt(random, 6 * BLOCK), BLOCK).adapter("a5")));
      assertEquals(Code.TOO_LARGE, withAdapter.code());
    }
  }
}
