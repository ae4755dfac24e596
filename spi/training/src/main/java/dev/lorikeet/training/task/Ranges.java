package dev.lorikeet.training.task;

/** Refuses settings that are out of range, by name. */
final class Ranges {
  private Ranges() {}

  static void above(String name, double value, double limit) {
    if (!(value > limit) || !Double.isFinite(value)) {
      throw new IllegalArgumentException(
          name + ": expected more than " + limit + ", found " + value);
    }
  }

  static void atLeast(String name, double value, double limit) {
    if (!(value >= limit) || !Double.isFinite(value)) {
      throw new IllegalArgumentException(
          name + ": expected at least " + limit + ", found " + value);
    }
  }

  static void below(String name, double value, double limit) {
    if (!(value < limit)) {
      throw new IllegalArgumentException(
          name + ": expected less than " + limit + ", found " + value);
    }
  }
}
