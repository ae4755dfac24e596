package dev.lorikeet.text.jinja;

/** Bounds on what an untrusted template may consume, far above what a chat template does. */
final class Limits {
  private static final int MAX_LENGTH = 1 << 24;
  private static final int MAX_ITEMS = 1 << 20;
  private static final int MAX_MACROS = 50;
  private static final long MAX_STEPS = 5_000_000;

  private long steps;
  private int macros;

  /** Counts one evaluation. */
  void step() {
    if (++steps > MAX_STEPS) {
      throw JinjaException.limit("expected at most " + MAX_STEPS + " steps");
    }
  }

  void enterMacro() {
    if (++macros > MAX_MACROS) {
      throw JinjaException.limit("expected at most " + MAX_MACROS + " macros within one another");
    }
  }

  void leaveMacro() {
    macros--;
  }

  /** Holds a text to the longest allowed. */
  static void checkLength(long characters) {
    if (characters > MAX_LENGTH) {
      throw JinjaException.limit("expected at most " + MAX_LENGTH + " characters in a text");
    }
  }

  /** Holds a list to the longest allowed. */
  static void checkItems(long items) {
    if (items > MAX_ITEMS) {
      throw JinjaException.limit("expected at most " + MAX_ITEMS + " items in a list");
    }
  }
}
