package dev.lorikeet.jlama.serving;

import java.util.List;

/** Finds stop strings in a stream of text and holds back what may become one. Not thread-safe. */
final class StopText {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  StopText(List<String> stops) {
    this.stops = stops;
  }

  /** Takes more text and returns what is certain to come before any stop string. */
  String append(String text) {
    if (stops.isEmpty()) {
      return text;
    }
    held.append(text);
    // The stop string that is complete first wins, whatever the pieces in which the text comes.
    int start = -1;
    int end = Integer.MAX_VALUE;
    for (String stop : stops) {
      int at = held.indexOf(stop);
      if (at >= 0 && (at + stop.length() < end || (at + stop.length() == end && at < start))) {
        start = at;
        end = at + stop.length();
      }
    }
    if (start >= 0) {
      stopped = true;
      return take(start);
    }
    int keep = 0;
    for (String stop : stops) {
      keep = Math.max(keep, overlap(stop));
    }
    return take(held.length() - keep);
  }

  /** Returns what is still held back, when the generation ends for another reason. */
  String flush() {
    return take(held.length());
  }

  /** Returns whether a stop string was found. */
  boolean stopped() {
    return stopped;
  }

  /**
   * Returns the length of the longest proper prefix of {@code stop} that the held text ends with.
   */
  private int overlap(String stop) {
    for (int n = Math.min(stop.length() - 1, held.length()); n > 0; n--) {
      if (stop.startsWith(held.substring(held.length() - n))) {
        return n;
      }
    }
    return 0;
  }

  private String take(int length) {
    String text = held.substring(0, length);
    held.delete(0, length);
    return text;
  }
}
