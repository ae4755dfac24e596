package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.memory.PageOwner;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.Score;
import dev.lorikeet.model.ScoreRequest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;

/**
 * One random workload: requests of several tenants and priorities, some of which are cancelled,
 * time out, lose their adapter to a failing load or break in their own callback, in a pool that is
 * too small for all, while others take pages and leases.
 */
final class Workload implements AutoCloseable {
  private static final long STEP_NANOS = 1_000_000;
  private static final int MOST_STEPS = 4000;
  private static final Set<Code> ALLOWED =
      EnumSet.of(
          Code.CANCELLED,
          Code.DEADLINE_EXCEEDED,
          Code.ADAPTER_INVALID,
          Code.INVALID_REQUEST,
          Code.ROUTER_FAILED,
          Code.POOL_EXHAUSTED);

  /** What happened in a number of workloads. */
  static final class Tally {
    final Map<Code, Integer> failures = new EnumMap<>(Code.class);
    int survivors;
    long preemptions;
    long evictedBlocks;
    long evictedAdapters;
    long reusedTokens;
    long steps;
  }

  /** A request on its way, and what it would generate undisturbed. */
  private record Submitted(Generation generation, List<Integer> expected, List<Integer> seen) {}

  private final String name;
  private final Random random;
  private final Catalogue catalogue;
  private final SteppedServing stepped;
  private final List<Submitted> submitted = new ArrayList<>();
  private final List<CompletableFuture<Score>> scores = new ArrayList<>();
  private final List<AdapterLease> foreignLeases = new ArrayList<>();
  private int[] foreignPages = {};

  Workload(ServedModel model, long seed, Catalogue catalogue) {
    random = new Random(seed);
    this.catalogue = catalogue;
    List<Policy> policies = List.of(Policy.values());
    Policy policy = policies.get(random.nextInt(policies.size()));
    int sequences = 1 + random.nextInt(6);
    boolean prefixCache = random.nextInt(4) > 0;
    int pages = Catalogue.MOST_PAGES + random.nextInt(2 * Catalogue.MOST_PAGES);
    name =
        "workload of seed %d: %s, %d sequences, %d pages, prefix cache %b"
            .formatted(seed, policy, sequences, pages, prefixCache);
    stepped =
        new SteppedServing(
            model, SteppedServing.options(policy, sequences, prefixCache), pages, STEP_NANOS);
    Catalogue.addRouters(stepped.serving, () -> random.nextInt(40) == 0);
    stepped.store.failWhen(id -> random.nextInt(12) == 0);
  }

  void run(Tally tally) {
    try {
      int requests = 8 + random.nextInt(16);
      while (submitted.size() < requests) {
        for (int burst = random.nextInt(4); burst > 0; burst--) {
          submit();
        }
        disturb();
        step();
      }
      for (int i = random.nextInt(30); i > 0; i--) {
        disturb();
        step();
      }
      endDisturbance();
      stepped.finish(MOST_STEPS);
      check(tally);
    } catch (RuntimeException | AssertionError e) {
      throw new AssertionError(name + ": " + e, e);
    }
  }

  private void submit() {
    Catalogue.Entry entry = catalogue.entries().get(random.nextInt(catalogue.entries().size()));
    int tokens = 1 + random.nextInt(entry.tokens().size());
    boolean breaks = random.nextInt(20) == 0;
    var request =
        entry.request(tokens).tenant("tenant " + random.nextInt(3)).priority(random.nextInt(3) - 1);
    List<Integer> seen = new ArrayList<>();
    RequestObserver observer =
        RequestObserver.tokens(
            token -> {
              seen.add(token.id());
              if (breaks && token.index() == tokens / 2) {
                throw new IllegalStateException("broken by the test");
              }
            });
    if (random.nextInt(5) == 0) {
      request.timeout(Duration.ofMillis(2 + random.nextInt(150)));
    }
    submitted.add(
        new Submitted(stepped.submit(request, observer), entry.tokens().subList(0, tokens), seen));
    if (random.nextInt(12) == 0) {
      scores.add(
          stepped.serving.score(
              ScoreRequest.of(new Prompt.Tokens(entry.prompt()), AdapterChoice.named("a0")),
              RequestObserver.none()));
    }
  }

  /** One of the things that happen to a server, or none. */
  private void disturb() {
    String adapter = "a" + random.nextInt(SteppedServing.ADAPTERS);
    switch (random.nextInt(14)) {
      case 0, 1 -> {
        if (!submitted.isEmpty()) {
          submitted.get(random.nextInt(submitted.size())).generation().cancel();
        }
      }
      case 2 -> stepped.register(adapter, Integer.parseInt(adapter.substring(1)));
      case 3 -> stepped.store.acquireIfResident(adapter).ifPresent(foreignLeases::add);
      case 4 -> closeForeignLeases();
      case 5 -> takeForeignPages();
      case 6 -> giveForeignPages();
      case 7 -> stepped.pass(random.nextInt(20) * STEP_NANOS);
      default -> {}
    }
  }

  private void takeForeignPages() {
    giveForeignPages();
    int[] pages = new int[1 + random.nextInt(stepped.pool.pageCount() / 2)];
    if (stepped.pool.allocate(PageOwner.OTHER, pages, 0, pages.length)) {
      foreignPages = pages;
    }
  }

  private void giveForeignPages() {
    stepped.pool.free(foreignPages, 0, foreignPages.length);
    foreignPages = new int[0];
  }

  private void closeForeignLeases() {
    foreignLeases.forEach(AdapterLease::close);
    foreignLeases.clear();
  }

  private void endDisturbance() {
    giveForeignPages();
    closeForeignLeases();
  }

  /** Runs an iteration, and sometimes a load. */
  private void step() {
    if (random.nextBoolean()) {
      stepped.loaders.runNext();
    }
    stepped.step();
  }

  private void check(Tally tally) {
    for (Submitted s : submitted) {
      assertTrue(s.generation().completion().isDone(), "a request has not ended");
      // Whoever fails has said what it would have said, as far as it came, each token once.
      assertEquals(s.expected().subList(0, s.seen().size()), s.seen(), "tokens as they came");
      try {
        assertEquals(s.expected(), s.generation().await().tokens(), "a survivor's tokens");
        assertEquals(s.expected(), s.seen(), "a survivor's tokens as they came");
        tally.survivors++;
      } catch (LorikeetException e) {
        assertTrue(ALLOWED.contains(e.code()), () -> e.code() + ": " + e.getMessage());
        tally.failures.merge(e.code(), 1, Integer::sum);
      }
    }
    for (CompletableFuture<Score> score : scores) {
      try {
        score.orTimeout(60, TimeUnit.SECONDS).join();
      } catch (CompletionException e) {
        assertTrue(
            e.getCause() instanceof LorikeetException cause && ALLOWED.contains(cause.code()),
            () -> String.valueOf(e.getCause()));
      }
    }
    var stats = stepped.serving.stats();
    assertEquals(0, stats.queued(), "queued");
    assertEquals(0, stats.running(), "running");
    assertEquals(0, stepped.store.stats().leased(), "leases");
    var prefixes = stepped.serving.prefixStats();
    assertEquals(0, prefixes.usedPages(), "cached pages in use");
    assertEquals(prefixes.idlePages(), stepped.pool.stats().kvCachePages(), "pages of the cache");
    assertEquals(prefixes.idlePages(), stats.kvCachePages(), "pages that the model counts");
    assertEquals(stepped.pool.pageCount(), stepped.pagesToBeHad(), "pages that can be had");
    assertEquals(0, stepped.pool.stats().usedPages(), "pages after all were asked back");
    tally.preemptions += stepped.serving.scheduler().preemptions();
    tally.evictedBlocks += prefixes.evictions();
    tally.evictedAdapters += stepped.store.stats().evictions();
    tally.reusedTokens += prefixes.reusedTokens();
    tally.steps += stats.steps();
  }

  @Override
  public void close() {
    endDisturbance();
    stepped.close();
  }
}
