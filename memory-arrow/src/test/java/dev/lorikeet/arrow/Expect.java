package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** What failures are expected to say. */
public final class Expect {
  private Expect() {}

  /** Asserts that the message contains every part. */
  public static void mentions(Throwable thrown, String... parts) {
    String message = String.valueOf(thrown.getMessage());
    for (String part : parts) {
      assertTrue(message.contains(part), () -> "expected '" + part + "' in: " + message);
    }
  }
}
