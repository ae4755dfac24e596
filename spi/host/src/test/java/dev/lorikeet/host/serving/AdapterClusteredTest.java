package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.model.RequestObserver;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Clustered admission: fewer adapters at a time, and nobody waits beyond the bound. */
@Timeout(300)
class AdapterClusteredTest {
  private static final int BATCH = 4;
  private static final int BOUND = 2 * BATCH;

  private static SteppedServing open(Policy policy) {
    SteppedServing stepped = new SteppedServing(SteppedServing.options(policy, BATCH, false), 1000);
    for (int i = 0; i < SteppedServing.ADAPTERS; i++) {
      stepped.store.acquire("a" + i).close();
    }
    return stepped;
  }

  /** Serves requests for adapters in turn; returns the sum of distinct adapters over all steps. */
  private static int adaptersUsed(Policy policy) {
    Random random = new Random(1);
    Set<Integer> inStep = new HashSet<>();
    int sum = 0;
    try (SteppedServing stepped = open(policy)) {
      for (int i = 0; i < 60; i++) {
        int adapter = i % SteppedServing.ADAPTERS;
        stepped.submit(
            request(prompt(random, 4), 3 + random.nextInt(6)).adapter("a" + adapter),
            RequestObserver.tokens(token -> inStep.add(adapter)));
      }
      while (!stepped.isIdle()) {
        stepped.step();
        sum += inStep.size();
        inStep.clear();
      }
    }
    return sum;
  }

  @Test
  void aBatchUsesFewerAdaptersThanFirstComeFirstServed() {
    int clustered = adaptersUsed(Policy.CLUSTERED);
    int fcfs = adaptersUsed(Policy.FCFS);
    assertTrue(clustered < 0.75 * fcfs, "clustered " + clustered + ", first come " + fcfs);
  }

  @Test
  void aRequestIsPassedOverAtMostAsOftenAsTheBoundSays() {
    Random random = new Random(2);
    List<String> order = new ArrayList<>();
    try (SteppedServing stepped = open(Policy.CLUSTERED)) {
      for (int i = 0; i < BATCH; i++) {
        submit(stepped, random, "a0", order);
      }
      stepped.step();
      submit(stepped, random, "a1", order);
      // The popular adapter never runs out of requests, all of them later than the other one's.
      for (int step = 0; step < 500 && !order.contains("a1"); step++) {
        while (stepped.serving.stats().queued() < 20) {
          submit(stepped, random, "a0", order);
        }
        stepped.step();
      }
      stepped.finish(5000);
    }
    int before = order.indexOf("a1");
    assertTrue(before > BATCH, "it was not passed over at all: " + order);
    assertTrue(before <= BATCH + BOUND, "passed over " + (before - BATCH) + " times: " + order);
  }

  private static void submit(
      SteppedServing stepped, Random random, String adapter, List<String> order) {
    stepped.submit(
        request(prompt(random, 3), 2 + random.nextInt(4)).adapter(adapter),
        RequestObserver.tokens(
            token -> {
              if (token.index() == 0) {
                order.add(adapter);
              }
            }));
  }

  @Test
  void priorityComesBeforeClusters() {
    List<String> order = new ArrayList<>();
    try (SteppedServing stepped = open(Policy.CLUSTERED)) {
      IntStream.range(0, BATCH).forEach(i -> submit(stepped, new Random(i), "a0", order));
      stepped.step();
      for (String adapter : List.of("a0", "a3")) {
        stepped.submit(
            request(List.of(7, 8), 2).adapter(adapter).priority(adapter.equals("a3") ? 1 : 0),
            RequestObserver.tokens(token -> order.add(adapter + " later")));
      }
      stepped.finish(1000);
    }
    order.removeIf(name -> !name.endsWith("later"));
    assertEquals("a3 later", order.getFirst());
  }
}
