package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class ClockTest {
  @Test
  void aSequenceThatStoppedEarlyIsNoMeasurement() {
    Clock clock = new Clock(1, 2);
    clock.start(0);
    clock.token(0);
    assertThrows(IllegalStateException.class, clock::together);
    clock.token(0);
    assertTrue(clock.together() > 0);
    assertTrue(clock.inTurn() > 0);
    assertTrue(clock.timeToFirstTokenMs() >= 0);
  }

  @Test
  void oneTokenTellsNoRate() {
    Clock clock = new Clock(1, 1);
    clock.start(0);
    clock.token(0);
    assertEquals(0, clock.together());
    assertEquals(0, clock.inTurn());
  }
}
