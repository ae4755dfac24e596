package dev.lorikeet.text;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/*
 * An alternative is a sequence of items. An item is a character, an escape, a class in brackets or
 * a group of alternatives, and may be repeated; a group may only be optional, and holds nothing
 * that is repeated without a bound. Anything else (references back, conditions, nested repetition)
 * is outside of this grammar.
 *
 * What makes an expression slow is something that must match behind something that may match in
 * several ways: then all ways are tried. Behind a repetition without a bound nothing that must
 * match may follow. Behind bounded ones it may, as long as their ways are few.
 */

/** Reads those regular expressions that match or fail in a bounded number of steps. */
final class PatternGrammar {
  private static final int MOST_WAYS = 100;
  private static final int MOST_REPETITIONS = 1000;
  private static final int MOST_ALTERNATIVES = 200;
  private static final int DEEPEST_GROUP = 3;
  private static final String ESCAPES = "sSdDwWrntfv";
  private static final long UNBOUNDED = Long.MAX_VALUE;

  private final String regex;
  private int at;

  private PatternGrammar(String regex) {
    this.regex = regex;
  }

  /**
   * How many characters a match has.
   *
   * @param fewest 1 or more
   * @param most infinite where there is no bound
   * @param steps how many steps it takes at most at a place where it does not match
   */
  record Length(long fewest, double most, long steps) {}

  private static final class NotInGrammar extends Exception {
    private static final long serialVersionUID = 1L;

    NotInGrammar() {
      super("not in the grammar", null, false, false);
    }
  }

  /** An item or a sequence: how many characters and steps it takes, and in how many ways. */
  private record Span(long fewest, long most, long ways, long steps) {}

  /** Splits an expression at the bars that are in no group and no class. */
  static List<String> alternatives(String regex) {
    List<String> alternatives = new ArrayList<>();
    int brackets = 0;
    int groups = 0;
    int start = 0;
    for (int i = 0; i < regex.length(); i++) {
      char c = regex.charAt(i);
      if (c == '\\') {
        i++;
      } else if (c == '[') {
        brackets++;
      } else if (c == ']' && brackets > 0) {
        brackets--;
      } else if (brackets == 0 && c == '(') {
        groups++;
      } else if (brackets == 0 && c == ')') {
        groups--;
      } else if (brackets == 0 && groups == 0 && c == '|') {
        alternatives.add(regex.substring(start, i));
        start = i + 1;
      }
    }
    alternatives.add(regex.substring(start));
    return alternatives;
  }

  /** Returns how much an alternative matches, or empty where it is outside of the grammar. */
  static Optional<Length> length(String alternative) {
    PatternGrammar grammar = new PatternGrammar(alternative);
    try {
      Span span = grammar.sequence(0);
      if (grammar.at < alternative.length() || span.fewest == 0) {
        return Optional.empty();
      }
      double most = span.most == UNBOUNDED ? Double.POSITIVE_INFINITY : span.most;
      return Optional.of(new Length(span.fewest, most, span.steps));
    } catch (NotInGrammar e) {
      return Optional.empty();
    }
  }

  private boolean more() {
    return at < regex.length();
  }

  private boolean next(char c) {
    if (more() && regex.charAt(at) == c) {
      at++;
      return true;
    }
    return false;
  }

  private void expect(boolean condition) throws NotInGrammar {
    if (!condition) {
      throw new NotInGrammar();
    }
  }

  private Span sequence(int depth) throws NotInGrammar {
    long fewest = 0;
    long most = 0;
    long ways = 1;
    long steps = 0;
    while (more() && regex.charAt(at) != '|' && regex.charAt(at) != ')') {
      Span item = repeated(depth);
      expect(item.fewest == 0 || (ways <= MOST_WAYS && most != UNBOUNDED));
      fewest += item.fewest;
      most = item.most == UNBOUNDED || most == UNBOUNDED ? UNBOUNDED : most + item.most;
      ways = Math.min(ways * item.ways, MOST_WAYS + 1L);
      steps += item.steps;
    }
    return new Span(fewest, most, ways, ways * steps);
  }

  private Span repeated(int depth) throws NotInGrammar {
    boolean group = regex.charAt(at) == '(';
    Span item = group ? group(depth) : character();
    int least = 1;
    long most = 1;
    if (next('?')) {
      least = 0;
    } else if (next('*')) {
      least = 0;
      most = UNBOUNDED;
    } else if (next('+')) {
      most = UNBOUNDED;
    } else if (next('{')) {
      least = number();
      most = next(',') ? (more() && regex.charAt(at) == '}' ? UNBOUNDED : number()) : least;
      expect(next('}') && most >= least);
    } else {
      return item;
    }
    expect(!group || most == 1);
    if (!next('?')) {
      next('+');
    }
    expect(!more() || "?*+{".indexOf(regex.charAt(at)) < 0);
    long longest = most == UNBOUNDED ? UNBOUNDED : item.most * most;
    long ways = most == UNBOUNDED ? 1 : item.ways + most - least;
    long steps = most == UNBOUNDED ? item.steps : item.steps * Math.max(1, most);
    return new Span(item.fewest * least, longest, ways, steps);
  }

  private int number() throws NotInGrammar {
    int start = at;
    while (more() && regex.charAt(at) >= '0' && regex.charAt(at) <= '9' && at - start < 5) {
      at++;
    }
    expect(at > start);
    int value = Integer.parseInt(regex.substring(start, at));
    expect(value <= MOST_REPETITIONS);
    return value;
  }

  private Span group(int depth) throws NotInGrammar {
    expect(depth < DEEPEST_GROUP);
    at++;
    if (next('?')) {
      next('i');
      expect(next(':'));
    }
    long fewest = UNBOUNDED;
    long most = 0;
    long ways = 0;
    long steps = 0;
    int alternatives = 0;
    do {
      Span one = sequence(depth + 1);
      expect(one.most != UNBOUNDED && ++alternatives <= MOST_ALTERNATIVES);
      fewest = Math.min(fewest, one.fewest);
      most = Math.max(most, one.most);
      ways += one.ways;
      steps += one.steps;
    } while (next('|'));
    expect(next(')'));
    return new Span(fewest, most, ways, steps);
  }

  private Span character() throws NotInGrammar {
    char c = regex.charAt(at++);
    if (c == '\\') {
      escape();
    } else if (c == '[') {
      characterClass();
    } else {
      expect("?*+{}^$)]".indexOf(c) < 0);
      if (Character.isHighSurrogate(c)) {
        expect(more() && Character.isLowSurrogate(regex.charAt(at)));
        at++;
      }
    }
    return new Span(1, 1, 1, 1);
  }

  private void escape() throws NotInGrammar {
    expect(more());
    char c = regex.charAt(at++);
    if (c == 'p' || c == 'P') {
      expect(next('{'));
      int start = at;
      while (more()
          && (Character.isLetter(regex.charAt(at)) || "^_".indexOf(regex.charAt(at)) >= 0)) {
        at++;
      }
      expect(at > start && next('}'));
    } else if (c == 'u') {
      for (int i = 0; i < 4; i++) {
        expect(more() && Character.digit(regex.charAt(at++), 16) >= 0);
      }
    } else {
      boolean sign = c > ' ' && c < 0x7F && !Character.isLetterOrDigit(c);
      expect(sign || c == ' ' || ESCAPES.indexOf(c) >= 0);
    }
  }

  /** Skips a class whose opening bracket has been read; what is in it cannot be slow. */
  private void characterClass() throws NotInGrammar {
    int open = 1;
    int members = 0;
    while (open > 0) {
      expect(more());
      char c = regex.charAt(at++);
      if (c == '\\') {
        escape();
        members++;
      } else if (c == '[') {
        open++;
      } else if (c == ']') {
        open--;
      } else if (c != '^') {
        members++;
      }
    }
    expect(members > 0);
  }
}
