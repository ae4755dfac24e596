package dev.lorikeet.jlama.hub;

import java.time.Duration;

/**
 * How long a download bears with network and server.
 *
 * @param connect for a connection
 * @param answer for the head of an answer
 * @param stall between two reads of a body
 * @param attempts how often a request may fail in a row without a byte gained
 * @param retryAfter the longest pause that a server may ask for
 * @param pause waits between attempts
 */
record Patience(
    Duration connect,
    Duration answer,
    Duration stall,
    int attempts,
    Duration retryAfter,
    Pause pause) {
  static final Patience STANDARD =
      new Patience(
          Duration.ofSeconds(20),
          Duration.ofSeconds(60),
          Duration.ofSeconds(60),
          4,
          Duration.ofMinutes(5),
          Thread::sleep);

  /** Waits. */
  @FunctionalInterface
  interface Pause {
    void await(Duration time) throws InterruptedException;
  }
}
