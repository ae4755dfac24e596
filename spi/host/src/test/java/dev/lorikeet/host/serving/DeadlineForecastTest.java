package dev.lorikeet.host.serving;

import static dev.lorikeet.host.serving.SteppedServing.prompt;
import static dev.lorikeet.host.serving.SteppedServing.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.StopConditions;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Early refusal by a clock of the test's own, in which every step takes a millisecond. */
@Timeout(300)
class DeadlineForecastTest {
  private static final long STEP = 1_000_000;
  private static final int BATCH = 2;
  private final Random random = new Random(3);

  private SteppedServing open(boolean prefixCache) {
    return new SteppedServing(
        new FakeModel(), SteppedServing.options(Policy.FCFS, BATCH, prefixCache), 1000, STEP);
  }

  /** Lets enough steps be measured. */
  private void warmUp(SteppedServing stepped) {
    stepped.run(request(prompt(random, 100), 60));
  }

  private GenerationRequest.Builder within(int millis, int promptTokens, int tokens) {
    return request(prompt(random, promptTokens), tokens).timeout(Duration.ofMillis(millis));
  }

  private static boolean isRefused(SteppedServing stepped, Generation generation) {
    stepped.step();
    if (!generation.completion().isCompletedExceptionally()) {
      return false;
    }
    LorikeetException e = assertThrows(LorikeetException.class, generation::await);
    assertEquals(Code.DEADLINE_EXCEEDED, e.code());
    assertTrue(e.getMessage().contains("cannot meet"), e.getMessage());
    return true;
  }

  @Test
  void aRequestThatNeedsMoreStepsThanItHasTimeIsRefusedAtOnce() {
    try (SteppedServing stepped = open(false)) {
      warmUp(stepped);
      long steps = stepped.serving.stats().steps();
      assertTrue(isRefused(stepped, stepped.submit(within(50, 5, 100))));
      assertEquals(steps, stepped.serving.stats().steps(), "nothing was computed for it");
      assertFalse(isRefused(stepped, stepped.submit(within(50, 5, 40))));
      stepped.finish(1000);
    }
  }

  @Test
  void aLongPromptCountsByTheRateOfPrefill() {
    try (SteppedServing stepped = open(false)) {
      warmUp(stepped);
      // 24 prompt tokens a step: 400 take 17 steps.
      assertTrue(isRefused(stepped, stepped.submit(within(12, 400, 1))));
      assertFalse(isRefused(stepped, stepped.submit(within(40, 400, 1))));
      stepped.finish(1000);
    }
  }

  @Test
  void whatIsAheadInTheQueueCounts() {
    try (SteppedServing stepped = open(false)) {
      warmUp(stepped);
      for (int i = 0; i < 2 * BATCH; i++) {
        stepped.submit(request(prompt(random, 5), 60));
      }
      stepped.step();
      assertTrue(isRefused(stepped, stepped.submit(within(80, 5, 5))), "starts after 120 steps");
      Generation first = stepped.submit(within(80, 5, 5).priority(1));
      assertFalse(isRefused(stepped, first), "starts after 60 steps");
      Generation late = stepped.submit(within(200, 5, 5));
      assertFalse(isRefused(stepped, late), "has the time");
      stepped.finish(1000);
      assertEquals(5, first.await().tokens().size());
      assertEquals(5, late.await().tokens().size());
    }
  }

  @Test
  void aWaitingRequestIsRefusedAsSoonAsItIsCertain() {
    try (SteppedServing stepped = open(false)) {
      warmUp(stepped);
      for (int i = 0; i < BATCH; i++) {
        stepped.submit(request(prompt(random, 5), 60));
      }
      Generation waiting = stepped.submit(within(150, 5, 70));
      assertFalse(isRefused(stepped, waiting), "there is time for 60 and 70 steps");
      stepped.pass(60 * STEP); // Something else took the machine.
      assertTrue(isRefused(stepped, waiting));
      assertEquals(BATCH, stepped.serving.stats().running());
      stepped.finish(1000);
    }
  }

  @Test
  void nothingIsRefusedBeforeAnythingWasMeasured() {
    try (SteppedServing stepped = open(false)) {
      Generation generation = stepped.submit(within(50, 5, 100));
      assertFalse(isRefused(stepped, generation));
      for (int i = 0; i < 20; i++) {
        stepped.step();
        assertFalse(generation.completion().isDone());
      }
      stepped.finish(1000);
      LorikeetException e = assertThrows(LorikeetException.class, generation::await);
      assertTrue(e.getMessage().contains("took longer"), e.getMessage());
    }
  }

  @Test
  void aRequestThatMayStopEarlyIsNotRefusedForWhatItMayGenerate() {
    try (SteppedServing stepped = open(false)) {
      warmUp(stepped);
      Generation generation =
          stepped.submit(
              GenerationRequest.tokens(prompt(random, 5))
                  .stop(StopConditions.maxTokens(100).withStrings(List.of("never")).ignoringEos())
                  .timeout(Duration.ofMillis(50)));
      assertFalse(isRefused(stepped, generation));
      generation.cancel();
      stepped.finish(1000);
    }
  }

  @Test
  void aPromptThatTheCacheHoldsOrMayHoldByThenIsHoped() {
    List<Integer> prompt = prompt(random, 400);
    try (SteppedServing stepped = open(true)) {
      warmUp(stepped);
      var hasty = request(prompt, 1).timeout(Duration.ofMillis(8));
      assertTrue(isRefused(stepped, stepped.submit(hasty)), "nobody has computed it");
      stepped.run(request(prompt, 1));
      Generation again = stepped.submit(hasty);
      assertFalse(isRefused(stepped, again), "it is in the cache");
      stepped.finish(1000);
      assertEquals(1, again.await().tokens().size());
    }
    try (SteppedServing stepped = open(true)) {
      warmUp(stepped);
      stepped.submit(request(prompt, 30));
      stepped.step();
      Generation alike = stepped.submit(request(prompt, 1).timeout(Duration.ofMillis(14)));
      assertFalse(isRefused(stepped, alike), "the one before it is computing it");
      stepped.finish(1000);
    }
  }
}
