package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.RequestObserver;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * The fair policy's bound: while two tenants both have requests waiting, what they are served
 * differs by at most 2 max(w_p L_input, w_q M), with M the tokens of the sequences that one batch
 * can hold. Counted in tokens as they are served, step by step; no clock is involved.
 */
@Timeout(300)
class FairShareTest {
  private static final int ROUNDS = 3;
  private static final int BATCH = 4;

  /** Enough to have one waiting still when every place in the batch was taken. */
  private static final int ALWAYS = BATCH + 1;

  private static final int LONGEST_PROMPT = 20;
  private static final int LONGEST_OUTPUT = 12;
  private static final long BOUND =
      2L
          * Math.max(
              FairShare.INPUT_WEIGHT * LONGEST_PROMPT,
              FairShare.OUTPUT_WEIGHT * BATCH * (LONGEST_PROMPT + LONGEST_OUTPUT));

  /** Tenants that always have requests waiting, and what each of them was served. */
  private static final class Contest implements AutoCloseable {
    private final SteppedServing stepped;
    private final Random random;
    private final Map<String, Long> served = new TreeMap<>();
    private final Map<String, Integer> waiting = new TreeMap<>();
    private final List<Generation> generations = new ArrayList<>();

    Contest(Policy policy, int pages, long seed) {
      stepped = new SteppedServing(SteppedServing.options(policy, BATCH, false), pages);
      random = new Random(seed);
    }

    /** Keeps so many requests of a tenant waiting. */
    void fill(String tenant, int requests, int priority) {
      while (waiting.getOrDefault(tenant, 0) < requests) {
        List<Integer> prompt = prompt(random, 1 + random.nextInt(LONGEST_PROMPT));
        waiting.merge(tenant, 1, Integer::sum);
        generations.add(
            stepped.submit(
                request(prompt, 1 + random.nextInt(LONGEST_OUTPUT))
                    .tenant(tenant)
                    .priority(priority),
                RequestObserver.tokens(
                    token -> {
                      if (token.index() == 0) {
                        waiting.merge(tenant, -1, Integer::sum);
                        serve(tenant, (long) FairShare.INPUT_WEIGHT * prompt.size());
                      }
                      serve(tenant, FairShare.OUTPUT_WEIGHT);
                    })));
      }
    }

    private void serve(String tenant, long tokens) {
      served.merge(tenant, tokens, Long::sum);
    }

    long served(String tenant) {
      return served.getOrDefault(tenant, 0L);
    }

    /**
     * Runs until a tenant was served so much; returns by how much the difference of two tenants
     * varied, which is the largest |W_i - W_j| over any interval.
     */
    long run(String until, long tokens, String one, String other, Runnable refill) {
      long least = served(one) - served(other);
      long most = least;
      for (int step = 0; served(until) < tokens; step++) {
        assertTrue(step < 100_000, "stuck");
        refill.run();
        stepped.step();
        long difference = served(one) - served(other);
        least = Math.min(least, difference);
        most = Math.max(most, difference);
      }
      return most - least;
    }

    @Override
    public void close() {
      generations.forEach(Generation::cancel);
      stepped.finish(1000);
      for (Generation generation : generations) {
        try {
          generation.await();
        } catch (LorikeetException e) {
          assertEquals(LorikeetException.Code.CANCELLED, e.code());
        }
      }
      stepped.close();
    }
  }

  @RepeatedTest(ROUNDS)
  void aTenantThatFloodsTheQueueStaysWithinTheBoundWhateverItsPriority() {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    long fair;
    try (Contest contest = new Contest(Policy.FAIR, 1000, seed)) {
      fair =
          contest.run(
              "calm",
              10 * BOUND,
              "flood",
              "calm",
              () -> {
                contest.fill("calm", ALWAYS, 0);
                contest.fill("flood", 60, 7);
              });
    }
    assertTrue(fair <= BOUND, "difference " + fair + ", bound " + BOUND + ", seed " + seed);
    // The same traffic, first come, first served, breaks it: the bound means something.
    try (Contest contest = new Contest(Policy.FCFS, 1000, seed)) {
      long unfair =
          contest.run(
              "flood",
              10 * BOUND,
              "flood",
              "calm",
              () -> {
                contest.fill("calm", ALWAYS, 0);
                contest.fill("flood", 60, 0);
              });
      assertTrue(unfair > BOUND, "difference " + unfair);
    }
  }

  @RepeatedTest(ROUNDS)
  void theBoundHoldsAmongManyTenantsWhenPagesRunOutAndSequencesArePreempted() {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    // A sequence takes up to four blocks of two pages; the pool has seven.
    try (Contest contest = new Contest(Policy.FAIR, 7 * SteppedServing.BLOCK_PAGES, seed)) {
      long varied =
          contest.run(
              "c",
              5 * BOUND,
              "flood",
              "c",
              () -> {
                contest.fill("a", ALWAYS, 0);
                contest.fill("b", ALWAYS, 3);
                contest.fill("c", ALWAYS, 0);
                contest.fill("flood", 50, 9);
              });
      assertTrue(varied <= BOUND, "difference " + varied + ", bound " + BOUND + ", seed " + seed);
      assertTrue(contest.stepped.serving.scheduler().preemptions() > 0, "nothing was preempted");
      for (String tenant : List.of("a", "b")) {
        long difference = Math.abs(contest.served(tenant) - contest.served("c"));
        assertTrue(difference <= BOUND, tenant + ": " + difference + ", seed " + seed);
      }
    }
  }

  @RepeatedTest(ROUNDS)
  void aTenantThatWasIdleNeitherGainsCreditNorPaysForWhatItUsedAlone() {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    try (Contest contest = new Contest(Policy.FAIR, 1000, seed)) {
      contest.run("early", 10 * BOUND, "early", "late", () -> contest.fill("early", ALWAYS, 0));
      long before = contest.served("early");
      long varied =
          contest.run(
              "late",
              5 * BOUND,
              "early",
              "late",
              () -> {
                contest.fill("early", ALWAYS, 0);
                contest.fill("late", ALWAYS, 0);
              });
      assertTrue(varied <= BOUND, "difference " + varied + ", bound " + BOUND + ", seed " + seed);
      assertTrue(contest.served("early") > before + 3 * BOUND, "the early one starved");
    }
  }

  @Test
  void priorityOrdersTheRequestsOfOneTenant() {
    List<String> order = new ArrayList<>();
    try (SteppedServing stepped =
        new SteppedServing(SteppedServing.options(Policy.FAIR, 1, false), 200)) {
      for (int priority : new int[] {0, 5, 2}) {
        stepped.submit(
            request(List.of(5, 6), 1).tenant("t").priority(priority),
            RequestObserver.tokens(token -> order.add("t" + priority)));
      }
      stepped.finish(100);
    }
    assertEquals(List.of("t5", "t2", "t0"), order);
  }
}
