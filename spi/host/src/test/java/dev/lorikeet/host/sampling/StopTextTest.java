package dev.lorikeet.host.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopTextTest {
  private static String pass(StopText stop, String text) {
    StringBuilder out = new StringBuilder();
    stop.pass(text, out);
    return out.toString();
  }

  @Test
  void holdsBackWhatMayBecomeAStopString() {
    StopText text = new StopText(List.of("\n\nUser:"));
    assertEquals("Hello", pass(text, "Hello\n"));
    assertEquals("", pass(text, "\nUs"));
    assertEquals("\n\nUs!", pass(text, "!"));
    assertFalse(text.stopped());
  }

  @Test
  void endsBeforeTheStopStringThatIsCompleteFirst() {
    StopText text = new StopText(List.of("long stop", "op"));
    assertEquals("a ", pass(text, "a long st"));
    assertEquals("", pass(text, "op"), "both are complete at once, the longer begins first");
    assertTrue(text.stopped());
  }

  @Test
  void givesWhatIsHeldBackAtTheEnd() {
    StopText text = new StopText(List.of("END"));
    assertEquals("x", pass(text, "xEN"));
    StringBuilder rest = new StringBuilder();
    text.flush(rest);
    assertEquals("EN", rest.toString());
  }

  @Test
  void cutAnywhereTheTextIsTheSame() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 2_000; round++) {
      String whole = letters(random, 30);
      List<String> stops = List.of(letters(random, 3), letters(random, 2));
      int end = whole.length();
      for (int n = 1; n <= whole.length() && end == whole.length(); n++) {
        for (String stop : stops) {
          if (whole.substring(0, n).endsWith(stop)) {
            end = Math.min(end, n - stop.length());
          }
        }
      }
      StopText text = new StopText(stops);
      StringBuilder got = new StringBuilder();
      for (int at = 0; at < whole.length() && !text.stopped(); ) {
        int next = Math.min(whole.length(), at + 1 + random.nextInt(4));
        text.pass(whole.substring(at, next), got);
        at = next;
      }
      if (!text.stopped()) {
        text.flush(got);
      }
      assertEquals(
          whole.substring(0, end),
          got.toString(),
          "seed " + seed + " text " + whole + " stops " + stops);
    }
  }

  private static String letters(Random random, int length) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.append((char) ('a' + random.nextInt(2)));
    }
    return text.toString();
  }
}
