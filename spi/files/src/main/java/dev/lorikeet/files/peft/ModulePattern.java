package dev.lorikeet.files.peft;

import java.util.List;

/**
 * A regular expression over module names, as PEFT's configurations have them, that matches whole
 * names in bounded time.
 */
final class ModulePattern {
  /*
   * Idea: files are untrusted, and a backtracking matcher needs exponential time for patterns such as (a*)*b. Here a
   * node of the pattern maps a set of positions in the text to the set of positions where it may end, so nothing is
   * ever tried twice: one 64-bit word is the set, since module names are shorter than 64 characters.
   * Layout: the syntax tree is built once; sequences compose the map, alternatives join it, and a repetition applies it
   * until the set no longer changes, at most 64 times.
   * Cost: nodes times positions; nested repetitions multiply, so evaluations are counted and a pattern that needs more
   * than MAX_STEPS for one name is refused. Which of several matches a backtracking matcher would find first, and with
   * it laziness, does not matter for a whole match.
   */
  static final int MAX_TEXT = 62;
  static final int MAX_STEPS = 100_000;

  /** The pattern cannot be used; the message tells why, without naming the file. */
  static final class Unusable extends Exception {
    private static final long serialVersionUID = 1L;
    private final boolean syntax;

    Unusable(boolean syntax, String message) {
      super(message);
      this.syntax = syntax;
    }

    /** Returns whether the pattern is no pattern, rather than one that is not supported. */
    boolean isSyntax() {
      return syntax;
    }
  }

  /** A part of a pattern. */
  sealed interface Node {
    /** One character of a set. */
    record One(CharacterSet set) implements Node {}

    /** Parts one after the other. */
    record Sequence(List<Node> parts) implements Node {}

    /** Any of the branches. */
    record Choice(List<Node> branches) implements Node {}

    /** A part several times. */
    record Repeat(Node part, int least, int most) implements Node {}

    /** What follows must, or must not, match; takes no character. */
    record Ahead(Node part, boolean wanted) implements Node {}

    /** The beginning or the end of the name. */
    record Edge(boolean end) implements Node {}

    /** Between a word character and another, or not. */
    record WordBoundary(boolean wanted) implements Node {}
  }

  private final Node root;

  private ModulePattern(Node root) {
    this.root = root;
  }

  /** Parses a pattern of Python's {@code re}. */
  static ModulePattern parse(String pattern) throws Unusable {
    return new ModulePattern(new ModulePatternParser(pattern).parse());
  }

  /** Returns whether the whole text matches. */
  boolean matches(String text) throws Unusable {
    if (text.length() > MAX_TEXT) {
      throw new Unusable(false, "names of more than " + MAX_TEXT + " characters");
    }
    long ends = new Match(text).ends(root, 1L);
    return (ends >>> text.length() & 1) != 0;
  }

  /** The evaluation of a pattern on one text; sets of positions are bit masks. */
  private static final class Match {
    private final String text;
    private int steps;

    Match(String text) {
      this.text = text;
    }

    long ends(Node node, long starts) throws Unusable {
      if (++steps > MAX_STEPS) {
        throw new Unusable(
            false, "a pattern that takes more than " + MAX_STEPS + " steps to match");
      }
      if (starts == 0) {
        return 0;
      }
      return switch (node) {
        case Node.One one -> after(one.set(), starts);
        case Node.Sequence sequence -> {
          long at = starts;
          for (Node part : sequence.parts()) {
            at = ends(part, at);
          }
          yield at;
        }
        case Node.Choice choice -> {
          long joined = 0;
          for (Node branch : choice.branches()) {
            joined |= ends(branch, starts);
          }
          yield joined;
        }
        case Node.Repeat repeat -> repeated(repeat, starts);
        case Node.Ahead ahead -> {
          long kept = 0;
          for (long rest = starts; rest != 0; rest &= rest - 1) {
            long start = Long.lowestOneBit(rest);
            if ((ends(ahead.part(), start) != 0) == ahead.wanted()) {
              kept |= start;
            }
          }
          yield kept;
        }
        case Node.Edge edge -> starts & (edge.end() ? 1L << text.length() : 1L);
        case Node.WordBoundary boundary -> atBoundaries(boundary.wanted(), starts);
      };
    }

    private long after(CharacterSet set, long starts) {
      long ends = 0;
      for (long rest = starts; rest != 0; rest &= rest - 1) {
        int at = Long.numberOfTrailingZeros(rest);
        if (at < text.length() && set.contains(text.charAt(at))) {
          ends |= 1L << (at + 1);
        }
      }
      return ends;
    }

    private long repeated(Node.Repeat repeat, long starts) throws Unusable {
      long at = starts;
      for (int i = 0; i < repeat.least(); i++) {
        long next = ends(repeat.part(), at);
        if (next == at) {
          break; // further rounds change nothing
        }
        at = next;
      }
      long reached = at;
      for (int i = repeat.least(); i < repeat.most() && at != 0; i++) {
        at = ends(repeat.part(), at) & ~reached;
        reached |= at;
      }
      return reached;
    }

    private long atBoundaries(boolean wanted, long starts) {
      long kept = 0;
      for (long rest = starts; rest != 0; rest &= rest - 1) {
        int at = Long.numberOfTrailingZeros(rest);
        boolean before = at > 0 && CharacterSet.WORD.contains(text.charAt(at - 1));
        boolean behind = at < text.length() && CharacterSet.WORD.contains(text.charAt(at));
        if ((before != behind) == wanted) {
          kept |= 1L << at;
        }
      }
      return kept;
    }
  }
}
