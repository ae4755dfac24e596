package dev.lorikeet.host.serving;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.RequestObserver;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Random arrivals and cancellations in a pool that is too small for all: after every step, what
 * each policy promises of who goes first. {@code -Dlorikeet.seed=N} repeats a run.
 */
@Timeout(300)
class RandomArrivalsTest {
  private static final int ROUNDS = 60;
  private static final int REQUESTS = 60;
  private static final int LONGEST_PROMPT = 12;
  private static final int LONGEST_OUTPUT = 40;
  private static final int MOST_BLOCKS =
      (LONGEST_PROMPT + LONGEST_OUTPUT) / SteppedServing.BLOCK + 1;

  /** Higher priority first, then the order of arrival. */
  private static final Comparator<Request> ARRIVAL =
      Comparator.comparingInt(Request::priority).reversed().thenComparingInt(Request::number);

  /** A request that has no token yet when it is made. */
  private static final class Request {
    private final int number;
    private final int priority;
    private int passedOver;

    Request(int number, int priority) {
      this.number = number;
      this.priority = priority;
    }

    int number() {
      return number;
    }

    int priority() {
      return priority;
    }

    @Override
    public String toString() {
      return number + " of priority " + priority;
    }
  }

  /** One serving, and who waits for a first token. */
  private static final class Round implements AutoCloseable {
    private final Random random;
    private final int sequences;
    private final int adapters;
    private final SteppedServing stepped;
    private final List<Request> waiting = new ArrayList<>();
    private final List<Request> started = new ArrayList<>();
    private final List<Generation> alive = new ArrayList<>();
    private final List<AdapterLease> leases = new ArrayList<>();
    private int submitted;

    Round(Policy policy, int adapters, long seed) {
      this.adapters = adapters;
      random = new Random(seed);
      sequences = 1 + random.nextInt(5);
      // Pages are tight for sequences, never for adapters.
      int pages =
          (MOST_BLOCKS + random.nextInt(2 * MOST_BLOCKS)) * SteppedServing.BLOCK_PAGES
              + adapters * SteppedServing.LARGEST_ADAPTER_PAGES;
      // The batch has room for all that a sequence can have to compute, so that whoever is admitted
      // has its first token in the same step.
      int batchTokens = sequences * (LONGEST_PROMPT + LONGEST_OUTPUT);
      Limits limits = new Limits(batchTokens, sequences, REQUESTS, 2 * sequences);
      stepped =
          new SteppedServing(
              new ServingOptions(limits, policy, RouterPolicy.DEFAULT, random.nextBoolean()),
              pages);
      // Adapters stay in memory: whoever waits for a load lets others pass, as often as may be.
      for (int i = 0; i < adapters; i++) {
        leases.add(stepped.store.acquire("a" + i));
      }
    }

    private void submit() {
      Request request = new Request(submitted++, random.nextInt(2));
      var builder =
          SteppedServing.request(
                  SteppedServing.prompt(random, 1 + random.nextInt(LONGEST_PROMPT)),
                  1 + random.nextInt(LONGEST_OUTPUT))
              .priority(request.priority());
      if (adapters > 0) {
        builder.adapter("a" + random.nextInt(adapters));
      }
      Generation generation =
          stepped.submit(
              builder,
              RequestObserver.tokens(
                  token -> {
                    if (token.index() == 0) {
                      started.add(request);
                    }
                  }));
      waiting.add(request);
      alive.add(generation);
      if (random.nextInt(12) == 0) {
        generation.cancel();
        waiting.remove(request);
        alive.remove(generation);
      }
    }

    /** Runs one step, perhaps after some arrivals; returns whose first token came with it. */
    List<Request> step() {
      for (int i = random.nextInt(4); i > 0 && submitted < REQUESTS; i--) {
        submit();
      }
      boolean anything = !alive.isEmpty();
      started.clear();
      assertEquals(anything, stepped.step(), "a step computes something if there is anything");
      alive.removeIf(generation -> generation.completion().isDone());
      waiting.sort(ARRIVAL);
      return List.copyOf(started);
    }

    boolean goesOn() {
      return submitted < REQUESTS || !alive.isEmpty();
    }

    @Override
    public void close() {
      leases.forEach(AdapterLease::close);
      stepped.close();
    }
  }

  private static long seed() {
    long seed = Long.getLong("lorikeet.seed", System.nanoTime());
    System.out.println("seed " + seed);
    return seed;
  }

  @Test
  void firstComeNobodyPassesTheDoor() {
    long seed = seed();
    long preemptions = 0;
    for (int i = 0; i < ROUNDS; i++) {
      try (Round round = new Round(Policy.FCFS, 0, seed + i)) {
        while (round.goesOn()) {
          Set<Request> started = new HashSet<>(round.step());
          Set<Request> first = new HashSet<>(round.waiting.subList(0, started.size()));
          assertEquals(first, started, "seed " + (seed + i));
          round.waiting.removeAll(started);
        }
        preemptions += round.stepped.serving.scheduler().preemptions();
      }
    }
    assertTrue(preemptions > ROUNDS, "preemptions: " + preemptions);
  }

  @Test
  void clusteredNobodyIsPassedOverBeyondTheBound() {
    long seed = seed();
    int most = 0;
    long preemptions = 0;
    for (int i = 0; i < ROUNDS; i++) {
      try (Round round = new Round(Policy.CLUSTERED, 3, seed + i)) {
        while (round.goesOn()) {
          List<Request> started = round.step();
          round.waiting.removeAll(started);
          for (Request request : round.waiting) {
            request.passedOver += (int) started.stream().filter(s -> passes(s, request)).count();
            assertTrue(
                request.passedOver <= 2 * round.sequences,
                request + " was passed over, seed " + (seed + i));
            most = Math.max(most, request.passedOver);
          }
        }
        preemptions += round.stepped.serving.scheduler().preemptions();
      }
    }
    assertTrue(most > 2, "nobody was passed over");
    assertTrue(preemptions > 0, "nothing was preempted");
  }

  private static boolean passes(Request started, Request request) {
    return ARRIVAL.compare(request, started) < 0;
  }

  @Test
  void noPolicyLeavesABatchEmptyOrOverfillsIt() {
    long seed = seed();
    for (int i = 0; i < ROUNDS / 2; i++) {
      Policy policy = List.of(Policy.values()).get(i % Policy.values().length);
      try (Round round = new Round(policy, 3, seed + i)) {
        while (round.goesOn()) {
          round.step();
        }
        FakeDecoder decoder = (FakeDecoder) round.stepped.decoder;
        assertEquals(round.stepped.serving.stats().steps(), decoder.steps().size());
        for (FakeDecoder.Step step : decoder.steps()) {
          assertTrue(step.tokens() > 0, "an empty step, seed " + (seed + i));
          assertTrue(step.adapters() <= round.sequences, "adapters, seed " + (seed + i));
        }
      }
    }
  }
}
