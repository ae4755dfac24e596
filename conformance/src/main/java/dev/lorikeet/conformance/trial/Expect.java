package dev.lorikeet.conformance.trial;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import java.util.Locale;
import org.junit.jupiter.api.function.Executable;

/** Expectations on failures: their type, code and message. */
public final class Expect {
  private Expect() {}

  /** Checks that a call is rejected with a code, and that the message says each of these parts. */
  public static LorikeetException rejection(
      String what, LorikeetException.Code code, Executable call, String... parts) {
    LorikeetException rejection =
        assertThrows(
            LorikeetException.class, call, () -> what + ": expected a rejection with " + code);
    assertEquals(code, rejection.code(), () -> what + ": code; message: " + rejection.getMessage());
    message(rejection, parts);
    return rejection;
  }

  /** Checks that use after close is answered as such. */
  public static void closed(String what, Executable call) {
    assertThrows(
        IllegalStateException.class,
        call,
        () -> what + ": expected IllegalStateException after close");
  }

  /** Checks that a message says each of these parts, whatever the case of letters. */
  public static void message(Throwable failure, String... parts) {
    String message = String.valueOf(failure.getMessage());
    assertTrue(!message.isBlank(), "expected a message, found none");
    for (String part : parts) {
      assertTrue(
          message.toLowerCase(Locale.ROOT).contains(part.toLowerCase(Locale.ROOT)),
          () -> "message: expected to name '" + part + "', found: " + message);
    }
  }
}
