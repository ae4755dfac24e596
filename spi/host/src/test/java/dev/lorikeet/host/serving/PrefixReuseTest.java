package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.BLOCK;
import static dev.lorikeet.host.serving.SteppedServing.BLOCK_PAGES;
import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Mixture;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Sharing of keys and values among requests that begin alike, and the pages they are in. */
@Timeout(300)
class PrefixReuseTest {
  private static final int PAGES = 400;
  private final Random random = new Random(5);
  private final List<Integer> beginning = prompt(random, 5 * BLOCK);

  /** Returns the model to serve; whoever computes one for real runs these tests with it. */
  ServedModel model() {
    return new FakeModel();
  }

  private SteppedServing open(boolean prefixCache) {
    return new SteppedServing(model(), SteppedServing.options(Policy.FCFS, 8, prefixCache), PAGES);
  }

  private static List<Integer> joined(List<Integer> one, List<Integer> other) {
    List<Integer> all = new ArrayList<>(one);
    all.addAll(other);
    return all;
  }

  private static int reused(SteppedServing stepped) {
    return Math.toIntExact(stepped.serving.prefixStats().reusedTokens());
  }

  @Test
  void whatWasComputedIsNotComputedAgainAndTheLogitsAreTheSameBitForBit() {
    List<Integer> one = joined(beginning, prompt(random, 7));
    List<Integer> other = joined(beginning, prompt(random, 13));
    List<float[]> without = new ArrayList<>();
    List<float[]> with = new ArrayList<>();
    try (SteppedServing stepped = open(false)) {
      for (List<Integer> prompt : List.of(one, other, other)) {
        run(stepped, prompt, without);
      }
      assertEquals(one.size() + 2L * other.size(), stepped.serving.stats().prefillTokens());
    }
    try (SteppedServing stepped = open(true)) {
      for (List<Integer> prompt : List.of(one, other, other)) {
        run(stepped, prompt, with);
      }
      long computed = stepped.serving.stats().prefillTokens();
      // The second finds the common blocks, the third all full blocks of its prompt.
      int found = beginning.size() + (other.size() - 1) / BLOCK * BLOCK;
      assertEquals(found, reused(stepped));
      assertEquals(one.size() + 2L * other.size() - found, computed);
      assertEquals(2, stepped.serving.prefixStats().hits());
      assertEquals(3, stepped.serving.prefixStats().lookups());
    }
    assertEquals(without.size(), with.size());
    for (int i = 0; i < with.size(); i++) {
      assertArrayEquals(without.get(i), with.get(i), "row " + i);
    }
  }

  private static void run(SteppedServing stepped, List<Integer> prompt, List<float[]> logits) {
    stepped.run(
        request(prompt, 20).adapter("a1"),
        RequestObserver.logits((index, row) -> logits.add(row.toArray(ValueLayout.JAVA_FLOAT))));
  }

  @Test
  void generatedTokensAreSharedWithTheNextTurnOfAConversation() {
    try (SteppedServing stepped = open(true)) {
      List<Integer> answer = stepped.run(request(beginning, 24));
      List<Integer> next = joined(joined(beginning, answer), prompt(random, 3));
      List<Integer> second = stepped.run(request(next, 5));
      // The last token of the answer was handed out and never computed.
      assertEquals((beginning.size() + 23) / BLOCK * BLOCK, reused(stepped));
      try (SteppedServing fresh = open(false)) {
        assertEquals(fresh.run(request(next, 5)), second);
      }
    }
  }

  @Test
  void nothingIsSharedAcrossTenantsAdaptersMixturesOrGenerations() {
    try (SteppedServing stepped = open(true)) {
      List<Integer> base = stepped.run(request(beginning, 4));
      List<Integer> a1 = stepped.run(request(beginning, 4).adapter("a1"));
      List<Integer> a2 = stepped.run(request(beginning, 4).adapter("a2"));
      stepped.run(request(beginning, 4).adapter("a1").tenant("t"));
      stepped.run(request(beginning, 4).adapter(mixed("a1", 0.5f)));
      stepped.run(request(beginning, 4).adapter(mixed("a1", 0.25f)));
      stepped.register("a1", 2);
      assertEquals(a2, stepped.run(request(beginning, 4).adapter("a1")));
      assertEquals(0, reused(stepped));
      assertEquals(base, stepped.run(request(beginning, 4)));
      assertTrue(reused(stepped) > 0);
      assertTrue(!a1.equals(a2), "the adapters of the test must differ");
    }
  }

  private static AdapterChoice mixed(String adapter, float weight) {
    return AdapterChoice.mixed(Mixture.of(new Mixture.Share(adapter, weight)));
  }

  @Test
  void sequencesThatRunTogetherShareTheirPages() {
    try (SteppedServing stepped = open(true)) {
      stepped.run(request(beginning, 1));
      int cached = stepped.serving.prefixStats().idlePages();
      List<Generation> generations = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        generations.add(stepped.submit(request(joined(beginning, prompt(random, 2)), 6)));
      }
      stepped.step();
      var stats = stepped.serving.prefixStats();
      assertEquals(beginning.size() / BLOCK * BLOCK_PAGES, stats.usedPages());
      assertEquals(cached - stats.usedPages(), stats.idlePages());
      assertEquals(
          cached + 6 * BLOCK_PAGES, stepped.pool.stats().kvCachePages(), "one block more for each");
      stepped.finish(1000);
      generations.forEach(Generation::await);
      assertEquals(0, stepped.serving.prefixStats().usedPages());
    }
  }

  @Test
  void whatTwoSequencesComputeAtTheSameTimeIsKeptOnce() {
    try (SteppedServing stepped = open(true)) {
      Generation one = stepped.submit(request(beginning.subList(0, 3 * BLOCK), 12));
      Generation two = stepped.submit(request(beginning.subList(0, 3 * BLOCK), 12));
      stepped.finish(1000);
      assertEquals(one.await().tokens(), two.await().tokens());
      assertEquals(0, reused(stepped), "neither was there when the other was admitted");
      var stats = stepped.serving.prefixStats();
      assertEquals((3 * BLOCK + 11) / BLOCK * BLOCK_PAGES, stats.idlePages());
      assertEquals(stats.idlePages(), stepped.pool.stats().kvCachePages());
    }
  }

  @Test
  void cachedPagesAreAllThatIsLeftAndComeBackUnderPressureAndAtTheEnd() {
    SteppedServing stepped = open(true);
    for (int i = 0; i < 10; i++) {
      stepped.run(request(prompt(random, 20 + i), 9).adapter("a" + i % 3));
    }
    var stats = stepped.serving.prefixStats();
    assertTrue(stats.idlePages() > 0);
    assertEquals(stats.idlePages(), stepped.pool.stats().kvCachePages());
    assertEquals(stats.idlePages(), stepped.serving.stats().kvCachePages());
    assertEquals(PAGES, stepped.pagesToBeHad());
    assertEquals(0, stepped.pool.stats().kvCachePages());
    assertEquals(stats.idlePages(), BLOCK_PAGES * stepped.serving.prefixStats().evictions());
    stepped.run(request(beginning, 3));
    assertTrue(stepped.pool.stats().kvCachePages() > 0);
    stepped.closeServing();
    assertEquals(0, stepped.pool.stats().kvCachePages());
    stepped.close();
  }

  @Test
  void theLeastRecentlyUsedBlocksLeaveFirstAndABeginningStaysAsLongAsItsContinuation() {
    try (SteppedServing stepped = open(true)) {
      List<Integer> old = prompt(random, 4 * BLOCK + 1);
      List<Integer> recent = prompt(random, 4 * BLOCK + 1);
      stepped.run(request(old, 1));
      stepped.run(request(recent, 1));
      stepped.run(request(old, 1));
      int before = reused(stepped);
      // Leaves room for six of the eight blocks.
      int[] pages = take(stepped, PAGES - 6 * BLOCK_PAGES);
      stepped.pool.free(pages, 0, pages.length);
      stepped.run(request(recent, 1));
      assertEquals(before + 2 * BLOCK, reused(stepped), "its last two blocks had left");
      stepped.run(request(old, 1));
      assertEquals(before + 6 * BLOCK, reused(stepped));
    }
  }

  private static int[] take(SteppedServing stepped, int count) {
    int[] pages = new int[count];
    assertTrue(stepped.pool.allocate(PageOwner.OTHER, pages, 0, count));
    return pages;
  }

  @Test
  void aCacheThatGrewFirstLeavesSpareRoomForAdaptersDownToItsShare() {
    int pages = 160;
    try (SteppedServing stepped =
        new SteppedServing(model(), SteppedServing.options(Policy.FCFS, 2, true), pages)) {
      for (int i = 0; i < 8; i++) {
        stepped.run(request(prompt(random, 8 * BLOCK), 1));
      }
      int cached = 64 * BLOCK_PAGES;
      assertEquals(cached, stepped.serving.prefixStats().idlePages());
      int[] others = take(stepped, pages - cached - BLOCK_PAGES);
      stepped.run(request(prompt(random, 3), 1));
      assertEquals(pages / 16, stepped.pool.stats().freePages());
      int[] more = take(stepped, 80); // from the cache, which keeps a quarter of the pool
      stepped.run(request(prompt(random, 3), 1));
      assertTrue(stepped.serving.prefixStats().idlePages() <= pages / 4);
      assertTrue(stepped.serving.prefixStats().idlePages() >= pages / 4 - 10 - BLOCK_PAGES);
      stepped.pool.free(others, 0, others.length);
      stepped.pool.free(more, 0, more.length);
    }
  }

  @Test
  void anAdapterGetsPagesFromTheCacheAndTheCacheFromIdleAdapters() {
    try (SteppedServing stepped = open(true)) {
      stepped.run(request(beginning, 1));
      int cached = stepped.pool.stats().kvCachePages();
      int[] rest = take(stepped, PAGES - cached);
      try (AdapterLease lease = stepped.store.acquire("a0")) {
        int taken = stepped.pool.stats().adapterPages();
        assertTrue(taken > 0 && taken <= cached, "pages " + taken);
        assertEquals(
            cached - (taken + BLOCK_PAGES - 1) / BLOCK_PAGES * BLOCK_PAGES,
            stepped.pool.stats().kvCachePages());
      }
      // Now the adapter is idle, and a sequence needs more than the cache has.
      Generation generation =
          stepped.submit(request(prompt(random, (cached / BLOCK_PAGES - 1) * BLOCK), 2));
      stepped.finish(1000);
      assertEquals(2, generation.await().tokens().size());
      assertEquals(0, stepped.pool.stats().adapterPages());
      stepped.pool.free(rest, 0, rest.length);
    }
  }

  @Test
  void preemptedSequencesResumeFromWhatTheCacheStillHas() {
    List<GenerationRequest.Builder> requests = new ArrayList<>();
    for (int i = 0; i < 4; i++) {
      requests.add(request(prompt(random, 20), 60).adapter("a" + i % 2));
    }
    List<List<Integer>> expected = new ArrayList<>();
    try (SteppedServing stepped = open(false)) {
      requests.forEach(r -> expected.add(stepped.run(r)));
    }
    try (SteppedServing stepped =
        new SteppedServing(model(), SteppedServing.options(Policy.FCFS, 4, true), 40)) {
      List<Generation> generations = requests.stream().map(stepped::submit).toList();
      stepped.finish(10_000);
      for (int i = 0; i < expected.size(); i++) {
        assertEquals(expected.get(i), generations.get(i).await().tokens(), "request " + i);
      }
      assertTrue(stepped.serving.scheduler().preemptions() > 0, "nothing was preempted");
      assertTrue(reused(stepped) > 0, "nothing was reused");
    }
  }

  @Test
  void scoresNeedAllLogitsAndSoReuseNothing() {
    try (SteppedServing stepped = open(true)) {
      var request = ScoreRequest.of(new Prompt.Tokens(beginning), AdapterChoice.none());
      stepped.run(request(beginning, 1));
      var score = stepped.serving.score(request, RequestObserver.none());
      stepped.finish(1000);
      var again = stepped.serving.score(request, RequestObserver.none());
      stepped.finish(1000);
      assertEquals(score.join(), again.join());
      assertEquals(0, reused(stepped));
    }
  }
}
