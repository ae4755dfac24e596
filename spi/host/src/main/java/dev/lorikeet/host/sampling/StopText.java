package dev.lorikeet.host.sampling;

import java.util.List;

/**
 * Finds stop strings in a stream of text and holds back what may become one. Not thread-safe;
 * steady use allocates nothing.
 */
public final class StopText {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private boolean stopped;

  public StopText(List<String> stops) {
    this.stops = stops;
  }

  /** Takes more text and appends what is certain to come before any stop string to another. */
  public void pass(CharSequence text, StringBuilder out) {
    if (stops.isEmpty()) {
      out.append(text);
      return;
    }
    held.append(text);
    // The stop string that is complete first wins, whatever the pieces in which the text comes.
    int start = -1;
    int end = Integer.MAX_VALUE;
    for (int i = 0; i < stops.size(); i++) {
      String stop = stops.get(i);
      int at = held.indexOf(stop);
      if (at >= 0 && (at + stop.length() < end || (at + stop.length() == end && at < start))) {
        start = at;
        end = at + stop.length();
      }
    }
    if (start >= 0) {
      stopped = true;
      release(start, out);
      return;
    }
    int keep = 0;
    for (int i = 0; i < stops.size(); i++) {
      keep = Math.max(keep, overlap(stops.get(i)));
    }
    release(held.length() - keep, out);
  }

  /** Appends what is still held back, when the generation ends for another reason. */
  public void flush(StringBuilder out) {
    release(held.length(), out);
  }

  /** Returns whether a stop string was found. */
  public boolean stopped() {
    return stopped;
  }

  /**
   * Returns the length of the longest proper prefix of {@code stop} that the held text ends with.
   */
  private int overlap(String stop) {
    int length = Math.min(stop.length() - 1, held.length());
    while (length > 0 && !endsWithPrefix(stop, length)) {
      length--;
    }
    return length;
  }

  private boolean endsWithPrefix(String stop, int length) {
    int from = held.length() - length;
    for (int i = 0; i < length; i++) {
      if (held.charAt(from + i) != stop.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  private void release(int length, StringBuilder out) {
    out.append(held, 0, length);
    held.delete(0, length);
  }
}
