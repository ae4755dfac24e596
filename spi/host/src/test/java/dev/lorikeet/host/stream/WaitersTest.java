package dev.lorikeet.host.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 30, unit = TimeUnit.SECONDS)
class WaitersTest {
  private final Waiters waiters = new Waiters();

  @Test
  void newsThatComesBetweenTheFirstLookAndTheAdditionIsNotMissed() throws InterruptedException {
    AtomicBoolean news = new AtomicBoolean();
    waiters.await(
        () -> {
          boolean seen = news.getAndSet(true);
          if (!seen) {
            waiters.wakeAll(); // nobody is there yet
          }
          return seen;
        });
    assertTrue(news.get());
  }

  @Test
  void newsThatComesAfterTheSecondLookWakes() throws InterruptedException {
    AtomicInteger looks = new AtomicInteger();
    waiters.await(
        () -> {
          boolean seen = looks.getAndIncrement() == 2;
          if (!waiters.isEmpty()) {
            waiters.wakeAll();
          }
          return seen;
        });
    assertTrue(waiters.isEmpty());
  }

  @Test
  void everyoneIsCalledOnce() {
    AtomicInteger calls = new AtomicInteger();
    for (int i = 0; i < 5; i++) {
      waiters.add(calls::incrementAndGet);
    }
    waiters.wakeAll();
    waiters.wakeAll();
    assertEquals(5, calls.get());
  }

  @Test
  void whoeverAddsItselfWhileAllAreCalledWaitsForTheNextTime() {
    AtomicInteger calls = new AtomicInteger();
    waiters.add(() -> waiters.add(calls::incrementAndGet));
    waiters.wakeAll();
    assertEquals(0, calls.get());
    assertFalse(waiters.isEmpty());
    waiters.wakeAll();
    assertEquals(1, calls.get());
  }

  @Test
  void anInterruptEndsTheWait() {
    Thread.currentThread().interrupt();
    assertThrows(InterruptedException.class, () -> waiters.await(() -> false));
    assertFalse(Thread.currentThread().isInterrupted());
  }
}
