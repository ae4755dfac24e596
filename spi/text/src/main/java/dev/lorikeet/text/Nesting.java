package dev.lorikeet.text;

import dev.lorikeet.files.JsonFile;

/** How many components a part of a tokenizer may have, how deep and how slow they may be. */
final class Nesting {
  /** The most components of a part. */
  static final int MOST = 32;

  private static final int DEEPEST = 4;
  private static final long MOST_STEPS = 1000;

  private static final class Counts {
    private int components;
    private long steps;
  }

  private final int depth;
  private final Counts counts;

  Nesting() {
    this(0, new Counts());
  }

  private Nesting(int depth, Counts counts) {
    this.depth = depth;
    this.counts = counts;
  }

  /** Counts one component. */
  void count(JsonFile component) {
    if (++counts.components > MOST) {
      throw component.unsupported("type", "more", "at most " + MOST + " components");
    }
  }

  /** Counts the steps of an alternative of an expression at one place of a text. */
  void countSteps(JsonFile pattern, long steps) {
    counts.steps += steps;
    if (counts.steps > MOST_STEPS) {
      throw pattern.unsupported(
          "Regex", "more", "expressions that take at most " + MOST_STEPS + " steps at a place");
    }
  }

  /** Returns the count for the components of a component. */
  Nesting deeper(JsonFile component) {
    if (depth + 1 > DEEPEST) {
      throw component.unsupported("type", "more", "at most " + DEEPEST + " levels of components");
    }
    return new Nesting(depth + 1, counts);
  }

  /** Returns the type of a component. */
  static String type(JsonFile component, String known) {
    return component.text("type").orElseThrow(() -> component.missing("type", known));
  }
}
