package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;

/** How a model stands, for probes and monitoring. */
public sealed interface Health {
  /** It takes requests. */
  record Healthy() implements Health {}

  /**
   * It came to an end by a failure, not by {@link BaseModel#close}: all its requests have failed
   * and every new one fails. Close it; it can be opened again in the same process.
   *
   * @param reason with the code that requests fail with, and what failed as its cause
   */
  record Failed(LorikeetException reason) implements Health {}

  /** It was closed. */
  record Closed() implements Health {}

  /** Returns whether it takes requests. */
  default boolean isHealthy() {
    return this instanceof Healthy;
  }

  /** Returns the health of a model that takes requests. */
  static Health healthy() {
    return new Healthy();
  }

  /** Returns the health of a model that a failure has ended. */
  static Health failed(LorikeetException reason) {
    return new Failed(reason);
  }

  /** Returns the health of a model that was closed. */
  static Health closed() {
    return new Closed();
  }
}
