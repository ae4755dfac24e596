package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.UUID;
import org.junit.jupiter.api.Test;

class SessionsTest {
  private static void keep(Sessions sessions, UUID id, int tokens) {
    try (Sessions.Claim claim = sessions.claim(id)) {
      claim.keep(new int[tokens]);
    }
  }

  private static int length(Sessions sessions, UUID id) {
    try (Sessions.Claim claim = sessions.claim(id)) {
      return claim.context().length;
    }
  }

  @Test
  void aSessionKeepsWhatItWasGiven() {
    Sessions sessions = new Sessions(1000);
    UUID id = UUID.randomUUID();
    try (Sessions.Claim claim = sessions.claim(id)) {
      assertArrayEquals(new int[0], claim.context());
      claim.keep(new int[] {1, 2, 3});
    }
    try (Sessions.Claim claim = sessions.claim(id)) {
      assertArrayEquals(new int[] {1, 2, 3}, claim.context());
    }
  }

  @Test
  void theSessionsUsedLastAreKept() {
    Sessions sessions = new Sessions(1000);
    UUID first = UUID.randomUUID();
    UUID second = UUID.randomUUID();
    keep(sessions, first, 400);
    keep(sessions, second, 400);
    assertEquals(400, length(sessions, first));
    keep(sessions, UUID.randomUUID(), 400);
    assertEquals(2, sessions.count());
    assertEquals(400, length(sessions, first));
    assertEquals(0, length(sessions, second));
  }

  @Test
  void emptySessionsAreBoundedToo() {
    Sessions sessions = new Sessions(1000);
    for (int i = 0; i < 10_000; i++) {
      keep(sessions, UUID.randomUUID(), 0);
    }
    assertEquals(1000 / 32, sessions.count());
  }

  @Test
  void aSessionInUseIsNeverForgotten() {
    Sessions sessions = new Sessions(100);
    UUID id = UUID.randomUUID();
    try (Sessions.Claim claim = sessions.claim(id)) {
      claim.keep(new int[90]);
      keep(sessions, UUID.randomUUID(), 90);
      sessions.clear();
      assertEquals(1, sessions.count());
    }
    assertEquals(0, sessions.count());
  }
}
