package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.BLOCK;
import static dev.lorikeet.host.serving.SteppedServing.BLOCK_PAGES;
import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.model.Generation;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Pages of keys and values that lie before the windows of their layers. */
@Timeout(300)
class SlidingWindowTest {
  private static final int ROUNDS = 40;
  private static final int REQUESTS = 24;

  private static SteppedServing open(FakeModel model, boolean prefixCache, int pages) {
    return new SteppedServing(model, SteppedServing.options(Policy.FCFS, 6, prefixCache), pages);
  }

  /** A request. */
  private record Asked(List<Integer> prompt, int tokens) {}

  /** Beginnings in common, windows on either side of a block, a pool that is short of pages. */
  @Test
  void tokensAreThoseOfACacheThatKeepsAll() {
    long seed = Long.getLong("lorikeet.seed", System.nanoTime());
    System.out.println("SlidingWindowTest: lorikeet.seed=" + seed);
    Random random = new Random(seed);
    long reused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      int[] windows = {
        1 + random.nextInt(4 * BLOCK),
        random.nextBoolean() ? KvCache.NO_WINDOW : 1 + random.nextInt(4 * BLOCK)
      };
      List<List<Integer>> beginnings = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        beginnings.add(prompt(random, 1 + random.nextInt(8 * BLOCK)));
      }
      List<Asked> requests = new ArrayList<>();
      for (int i = 0; i < REQUESTS; i++) {
        List<Integer> prompt = new ArrayList<>(beginnings.get(random.nextInt(3)));
        prompt.addAll(prompt(random, random.nextInt(2 * BLOCK)));
        requests.add(new Asked(prompt, 1 + random.nextInt(5 * BLOCK)));
      }
      List<List<Integer>> expected = new ArrayList<>();
      try (SteppedServing keeps = open(FakeModel.withWindows(false, windows), false, 400)) {
        requests.forEach(r -> expected.add(keeps.run(request(r.prompt(), r.tokens()))));
      }
      // The longest has 15 blocks.
      int pages = (15 + random.nextInt(30)) * BLOCK_PAGES;
      FakeModel model = FakeModel.withWindows(true, windows);
      try (SteppedServing forgets = open(model, random.nextBoolean(), pages)) {
        List<Generation> running = new ArrayList<>();
        for (Asked r : requests) {
          running.add(forgets.submit(request(r.prompt(), r.tokens())));
          for (int steps = random.nextInt(12); steps > 0; steps--) {
            forgets.step();
          }
        }
        forgets.finish(20_000);
        for (int i = 0; i < requests.size(); i++) {
          assertEquals(expected.get(i), running.get(i).await().tokens(), "seed " + seed);
        }
        reused += forgets.serving.prefixStats().reusedTokens();
        assertEquals(
            forgets.serving.prefixStats().idlePages(), forgets.pool.stats().kvCachePages());
        assertEquals(pages, forgets.pagesToBeHad(), "seed " + seed);
      }
    }
    assertTrue(reused > 0, "nothing was reused, seed " + seed);
  }

  @Test
  void aSequenceHoldsWhatItsLayersSeeAndNoMore() {
    FakeModel model = FakeModel.withWindows(true, 2 * BLOCK, 4 * BLOCK);
    try (SteppedServing stepped = open(model, false, 400)) {
      Generation generation = stepped.submit(request(prompt(new Random(1), 3), 40 * BLOCK));
      while (!generation.completion().isDone()) {
        stepped.step();
        // A window begins and ends within blocks; the next token may begin one more.
        int most = 2 + 1 + 1 + 4 + 1 + 1;
        assertTrue(
            stepped.pool.stats().kvCachePages() <= most,
            () -> "pages: " + stepped.pool.stats().kvCachePages());
      }
    }
  }

  /** A prompt of 40 blocks in a pool of 16, of which a chunk and its windows hold no more. */
  @Test
  void aPromptLongerThanThePoolIsServedThroughItsWindows() {
    List<Integer> prompt = prompt(new Random(4), 40 * BLOCK);
    int[] windows = {BLOCK, 2 * BLOCK};
    List<Integer> expected;
    try (SteppedServing large = open(FakeModel.withWindows(false, windows), false, 400)) {
      expected = large.run(request(prompt, 3 * BLOCK));
    }
    for (boolean prefixCache : new boolean[] {false, true}) {
      FakeModel model = FakeModel.withWindows(true, windows);
      try (SteppedServing small = open(model, prefixCache, 16 * BLOCK_PAGES)) {
        List<Generation> running = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
          running.add(small.submit(request(prompt, 3 * BLOCK)));
        }
        small.finish(5000);
        running.forEach(generation -> assertEquals(expected, generation.await().tokens()));
      }
    }
  }

  @Test
  void whatIsRefusedIsWhatAllLayersNeedAtOnce() {
    List<Integer> prompt = prompt(new Random(5), 40 * BLOCK);
    int[] windows = {KvCache.NO_WINDOW, 2 * BLOCK};
    // Of one page all 41 blocks, of the other those of 24 tokens and the window before, and one.
    int most = 41 + (3 + 2 + 1);
    for (int pages : new int[] {most - 1, most}) {
      try (SteppedServing stepped = open(FakeModel.withWindows(true, windows), false, pages)) {
        if (pages == most) {
          assertEquals(BLOCK, stepped.run(request(prompt, BLOCK)).size());
        } else {
          LorikeetException refusal =
              assertThrows(LorikeetException.class, () -> stepped.submit(request(prompt, BLOCK)));
          assertEquals(LorikeetException.Code.TOO_LARGE, refusal.code());
          assertTrue(refusal.getMessage().contains(most + " pages"), refusal::getMessage);
        }
      }
    }
  }

  @Test
  void layersThatSeeAllKeepTheirPages() {
    FakeModel model = FakeModel.withWindows(true, KvCache.NO_WINDOW, BLOCK);
    try (SteppedServing stepped = open(model, false, 400)) {
      Generation generation = stepped.submit(request(prompt(new Random(2), 3), 40 * BLOCK));
      int held = 0;
      while (!generation.completion().isDone()) {
        held = stepped.pool.stats().kvCachePages();
        stepped.step();
      }
      assertTrue(held >= 40 && held <= 44, "pages: " + held);
    }
  }

  /** What is cached serves those who begin alike as long as nobody needs its pages. */
  @Test
  void cachedPagesBeforeTheWindowGoWhenOthersNeedThem() {
    Random random = new Random(3);
    List<Integer> beginning = prompt(random, 6 * BLOCK);
    for (boolean forgets : new boolean[] {false, true}) {
      FakeModel model = FakeModel.withWindows(forgets, BLOCK, BLOCK);
      try (SteppedServing stepped = open(model, true, 24 * BLOCK_PAGES)) {
        List<Generation> running = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
          running.add(stepped.submit(request(prompt(random, 3), 15 * BLOCK)));
        }
        stepped.finish(1000);
        running.forEach(Generation::await);
        // A sequence that has to give its pages back waits for the other to end.
        assertEquals(forgets, stepped.serving.steps() < 16 * BLOCK, "forgets " + forgets);
      }
      try (SteppedServing stepped = open(model, true, 400)) {
        stepped.run(request(beginning, 10 * BLOCK));
        stepped.run(request(beginning, 1));
        long reused = stepped.serving.prefixStats().reusedTokens();
        assertEquals(5 * BLOCK, reused, "pages that nobody needs stay");
      }
    }
  }
}
