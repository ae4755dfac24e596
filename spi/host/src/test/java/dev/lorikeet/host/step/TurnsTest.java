package dev.lorikeet.host.step;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Steps and pieces, one at a time, by a clock that stands still unless it is told to go on. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class TurnsTest {
  private final AtomicLong now = new AtomicLong(17);
  private final Turns turns = new Turns(now::get);
  private final List<String> order = new CopyOnWriteArrayList<>();

  private Thread piece(String name) {
    return Thread.ofPlatform().start(() -> turns.run(() -> order.add(name)));
  }

  /** Waits until a thread waits for its turn. */
  private static void awaitWaiting(Thread thread) {
    while (thread.getState() != Thread.State.TIMED_WAITING
        && thread.getState() != Thread.State.WAITING) {
      assertTrue(thread.isAlive());
      Thread.onSpinWait();
    }
  }

  @Test
  void piecesFollowOneAnotherWhileNothingIsServed() {
    for (int i = 0; i < 3; i++) {
      turns.run(() -> now.addAndGet(1_000_000));
    }
    assertEquals(3_000_017, now.get());
  }

  @Test
  void aPieceWaitsForTheStep() throws InterruptedException {
    turns.beginStep();
    Thread piece = piece("piece");
    awaitWaiting(piece);
    order.add("step");
    turns.endStep();
    piece.join();
    assertEquals(List.of("step", "piece"), order);
  }

  @Test
  void aStepWaitsForThePiece() throws InterruptedException {
    var end = new CountDownLatch(1);
    Thread piece = begunPiece(end, () -> order.add("piece"));
    Thread step =
        Thread.ofPlatform()
            .start(
                () -> {
                  turns.beginStep();
                  order.add("step");
                  turns.endStep();
                });
    awaitWaiting(step);
    end.countDown();
    step.join();
    piece.join();
    assertEquals(List.of("piece", "step"), order);
  }

  /** Returns the thread of a piece that has begun, and waits before its last act. */
  private Thread begunPiece(CountDownLatch end, Runnable last) throws InterruptedException {
    var began = new CountDownLatch(1);
    Thread thread =
        Thread.ofPlatform()
            .start(
                () ->
                    turns.run(
                        () -> {
                          began.countDown();
                          await(end);
                          last.run();
                        }));
    began.await();
    return thread;
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void servingHasItsShareBehindAPieceAndThePieceGoesBeforeTheNextStep()
      throws InterruptedException {
    turns.share(0.2);
    turns.run(() -> now.addAndGet(1_000_000_000)); // four seconds are serving's now
    turns.beginStep();
    turns.endStep();
    Thread next = piece("next");
    awaitWaiting(next);
    now.addAndGet(3_999_999_999L);
    turns.beginStep();
    order.add("step");
    assertTrue(next.isAlive());
    now.addAndGet(1); // now it is due
    turns.endStep();
    turns.beginStep(); // waits for it
    order.add("another step");
    turns.endStep();
    next.join();
    assertEquals(List.of("step", "next", "another step"), order);
  }

  @Test
  void aPieceNeedNotWaitOnceNothingIsServed() throws InterruptedException {
    turns.share(0.01);
    turns.beginStep();
    turns.endStep();
    turns.run(() -> now.addAndGet(1_000_000_000));
    Thread next = piece("next");
    awaitWaiting(next);
    turns.rest();
    next.join();
    assertEquals(List.of("next"), order);
  }

  @Test
  void aPieceThatFailsEndsItsTurn() {
    assertThrows(
        ArithmeticException.class,
        () ->
            turns.run(
                () -> {
                  throw new ArithmeticException();
                }));
    turns.beginStep();
    turns.endStep();
  }

  @Test
  void closingWaitsForThePieceAndRefusesOthers() throws InterruptedException {
    var end = new CountDownLatch(1);
    var ended = new AtomicBoolean();
    Thread piece = begunPiece(end, () -> ended.set(true));
    var seen = new AtomicBoolean();
    Thread closer =
        Thread.ofPlatform()
            .start(
                () -> {
                  turns.close();
                  seen.set(ended.get());
                });
    awaitWaiting(closer);
    assertFalse(ended.get());
    end.countDown();
    closer.join();
    piece.join();
    assertTrue(seen.get());
    LorikeetException refused =
        assertThrows(LorikeetException.class, () -> turns.run(() -> order.add("late")));
    assertEquals(LorikeetException.Code.CLOSED, refused.code());
    assertEquals(List.of(), order);
  }

  @Test
  void aShareIsBetweenNothingAndAll() {
    for (double share : new double[] {0, 1, -1, Double.NaN}) {
      assertThrows(IllegalArgumentException.class, () -> turns.share(share));
    }
  }
}
