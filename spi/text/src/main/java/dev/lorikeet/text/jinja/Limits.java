package dev.lorikeet.text.jinja;

import java.util.function.LongSupplier;
import java.util.function.Supplier;

/*
 * What an untrusted template may consume, far above what a chat template does.
 *
 * Work: one unit for a character that is read or written, some for an item of a list, more for an evaluation, so that a
 * unit is about a nanosecond. Size: all memory that values take, in units of about two bytes. Nothing is ever given
 * back, which is simple, and bounds what is alive. Both are counted before they are spent where that can be a lot, and
 * every operation on values counts for itself, down to the last character, as an uncounted copy in a loop is enough to
 * hang a server. The time is looked at now and then.
 *
 * Every operation needs the counts, so they are bound to the rendering instead of being passed through all of them.
 */

/** Counts what one rendering consumes. For one thread. */
final class Limits {
  /** The longest text, in characters. */
  static final int MAX_LENGTH = 1 << 24;

  /** The longest list. */
  static final int MAX_ITEMS = 1 << 20;

  static final long MAX_WORK = 1L << 30;

  /** Up to a quarter of the heap. */
  static final long MAX_SIZE = Math.min(1L << 27, Runtime.getRuntime().maxMemory() / 8);

  static final long MAX_NANOS = 5_000_000_000L;

  private static final int MAX_MACROS = 50;
  private static final int MAX_DEPTH = 400;
  private static final long MAX_STEPS = 5_000_000;
  private static final int STEP_WORK = 32;
  private static final int ITEM_WORK = 64;
  private static final int ITEM_SIZE = 16;
  private static final int SCOPE_SIZE = 128;
  private static final long WORK_BETWEEN_LOOKS = 1 << 20;

  private static final ScopedValue<Limits> RENDERING = ScopedValue.newInstance();

  private final LongSupplier clock;
  private final Runnable pulse;
  private final long maxWork;
  private final long maxSize;
  private final long began;
  private long steps;
  private long work;
  private long size;
  private long nextLook = WORK_BETWEEN_LOOKS;
  private int macros;
  private int depth;

  /**
   * Creates counts of nothing.
   *
   * @param clock nanoseconds from any origin
   * @param pulse called now and then; what it throws ends the rendering
   */
  Limits(LongSupplier clock, Runnable pulse) {
    this(clock, pulse, MAX_WORK, MAX_SIZE);
  }

  Limits(LongSupplier clock, Runnable pulse, long maxWork, long maxSize) {
    this.clock = clock;
    this.pulse = pulse;
    this.maxWork = maxWork;
    this.maxSize = maxSize;
    this.began = clock.getAsLong();
  }

  /** Counts what an operation consumes. */
  <T> T during(Supplier<T> operation) {
    return ScopedValue.where(RENDERING, this).call(operation::get);
  }

  /** Returns the counts of what this thread renders. */
  static Limits current() {
    return RENDERING.get();
  }

  long work() {
    return work;
  }

  long size() {
    return size;
  }

  void addWork(long units) {
    work += units;
    if (work > maxWork) {
      throw JinjaException.limit("expected at most " + maxWork + " characters and items of work");
    }
    if (work >= nextLook) {
      nextLook = work + WORK_BETWEEN_LOOKS;
      if (clock.getAsLong() - began > MAX_NANOS) {
        throw JinjaException.limit("expected at most " + MAX_NANOS / 1_000_000_000 + " s");
      }
      pulse.run();
    }
  }

  void addSize(long units) {
    size += units;
    if (size > maxSize) {
      throw JinjaException.limit("expected texts and lists of at most " + maxSize + " characters");
    }
  }

  /** Counts one evaluation. */
  void step() {
    if (++steps > MAX_STEPS) {
      throw JinjaException.limit("expected at most " + MAX_STEPS + " steps");
    }
    addWork(STEP_WORK);
  }

  /** Counts nesting, of what is evaluated and of values, so that the stack lasts. */
  void enter() {
    if (++depth > MAX_DEPTH) {
      throw JinjaException.limit("expected at most " + MAX_DEPTH + " levels");
    }
  }

  void leave() {
    depth--;
  }

  void enterMacro() {
    if (++macros > MAX_MACROS) {
      throw JinjaException.limit("expected at most " + MAX_MACROS + " macros within one another");
    }
  }

  void leaveMacro() {
    macros--;
  }

  /** Counts the variables of a block. */
  static void scope() {
    current().addSize(SCOPE_SIZE);
  }

  /** Counts characters that are looked at. */
  static void read(long characters) {
    current().addWork(characters);
  }

  /** Counts a text that is made, whole. */
  static void write(long characters) {
    checkLength(characters);
    Limits limits = current();
    limits.addSize(characters + ITEM_SIZE);
    limits.addWork(characters + ITEM_SIZE);
  }

  /** Counts a text that was made, whole. */
  static String written(String text) {
    write(text.length());
    return text;
  }

  /** Counts items that are looked at. */
  static void visit(long items) {
    current().addWork(ITEM_WORK * items);
  }

  /** Counts a list that is made, without what its items take. */
  static void list(long items) {
    checkItems(items);
    Limits limits = current();
    limits.addSize(ITEM_SIZE * (items + 1));
    limits.addWork(ITEM_SIZE * (items + 1));
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
