package dev.lorikeet.files.peft;

import dev.lorikeet.files.peft.ModulePattern.Node;
import dev.lorikeet.files.peft.ModulePattern.Unusable;
import java.util.ArrayList;
import java.util.List;

/**
 * Parses the part of Python's regular expressions that can be matched without backtracking:
 * characters, classes, groups, choices, repetitions, anchors, word boundaries and looking ahead.
 * Looking behind, back references, flags, atomic groups and possessive repetitions are refused.
 */
final class ModulePatternParser {
  private static final int MAX_LENGTH = 4096;
  private static final int MAX_DEPTH = 50;

  private final String pattern;
  private int at;
  private int depth;

  ModulePatternParser(String pattern) {
    this.pattern = pattern;
  }

  Node parse() throws Unusable {
    if (pattern.length() > MAX_LENGTH) {
      throw new Unusable(false, "a pattern of more than " + MAX_LENGTH + " characters");
    }
    Node root = choice();
    if (at < pattern.length()) {
      throw syntax("a closing parenthesis that was not opened");
    }
    return root;
  }

  private Node choice() throws Unusable {
    if (++depth > MAX_DEPTH) {
      throw new Unusable(false, "groups nested more than " + MAX_DEPTH + " deep");
    }
    List<Node> branches = new ArrayList<>();
    branches.add(sequence());
    while (take('|')) {
      branches.add(sequence());
    }
    depth--;
    return branches.size() == 1 ? branches.getFirst() : new Node.Choice(List.copyOf(branches));
  }

  private Node sequence() throws Unusable {
    List<Node> parts = new ArrayList<>();
    while (at < pattern.length() && pattern.charAt(at) != '|' && pattern.charAt(at) != ')') {
      parts.add(repeated());
    }
    return new Node.Sequence(List.copyOf(parts));
  }

  private Node repeated() throws Unusable {
    Node part = part();
    if (at == pattern.length()) {
      return part;
    }
    int before = at;
    Node repeated =
        switch (pattern.charAt(at)) {
          case '*' -> skip(1, new Node.Repeat(part, 0, Integer.MAX_VALUE));
          case '+' -> skip(1, new Node.Repeat(part, 1, Integer.MAX_VALUE));
          case '?' -> skip(1, new Node.Repeat(part, 0, 1));
          case '{' -> counted(part);
          default -> part;
        };
    if (at == before) {
      return part;
    }
    take('?'); // lazy: the same whole matches
    if (at < pattern.length() && pattern.charAt(at) == '+') {
      throw new Unusable(false, "possessive repetitions");
    }
    if (at < pattern.length() && "*?".indexOf(pattern.charAt(at)) >= 0) {
      throw syntax("a repetition of a repetition");
    }
    return repeated;
  }

  private Node skip(int characters, Node node) {
    at += characters;
    return node;
  }

  /** Parses {@code {m}}, {@code {m,}}, {@code {,n}} or {@code {m,n}}; anything else is literal. */
  private Node counted(Node part) throws Unusable {
    int close = pattern.indexOf('}', at);
    String inside = close < 0 ? "" : pattern.substring(at + 1, close);
    int comma = inside.indexOf(',');
    String first = comma < 0 ? inside : inside.substring(0, comma);
    String second = comma < 0 ? inside : inside.substring(comma + 1);
    if (inside.isEmpty() || !digits(first) || !digits(second)) {
      return part; // the brace is parsed next, as a literal
    }
    if (first.length() > 4 || second.length() > 4) {
      throw new Unusable(false, "repetitions of more than 9999 times");
    }
    int least = first.isEmpty() ? 0 : Integer.parseInt(first);
    int most = second.isEmpty() ? Integer.MAX_VALUE : Integer.parseInt(second);
    if (least > most) {
      throw syntax("a repetition whose minimum is above its maximum");
    }
    return skip(close + 1 - at, new Node.Repeat(part, least, most));
  }

  private static boolean digits(String text) {
    return text.chars().allMatch(c -> c >= '0' && c <= '9');
  }

  private Node part() throws Unusable {
    char c = pattern.charAt(at++);
    return switch (c) {
      case '(' -> group();
      case '[' -> new Node.One(characterClass());
      case '.' -> new Node.One(CharacterSet.NOT_NEWLINE);
      case '^' -> new Node.Edge(false);
      case '$' -> new Node.Edge(true);
      case '\\' -> escape();
      case '*', '+', '?' -> throw syntax("nothing to repeat before '" + c + "'");
      default -> new Node.One(CharacterSet.NONE.with(c));
    };
  }

  private Node group() throws Unusable {
    boolean ahead = false;
    boolean wanted = true;
    if (take('?')) {
      if (take(':')) {
        // a group that captures nothing, as all do here
      } else if (take('=')) {
        ahead = true;
      } else if (take('!')) {
        ahead = true;
        wanted = false;
      } else if (pattern.startsWith("P<", at)) {
        int close = pattern.indexOf('>', at);
        if (close < 0) {
          throw syntax("a group name without its end");
        }
        at = close + 1;
      } else {
        throw new Unusable(
            false,
            "groups of the kind '(?" + (at < pattern.length() ? pattern.charAt(at) : "") + "'");
      }
    }
    Node inside = choice();
    if (!take(')')) {
      throw syntax("a parenthesis that is not closed");
    }
    return ahead ? new Node.Ahead(inside, wanted) : inside;
  }

  private Node escape() throws Unusable {
    char c = next("an escape without a character");
    return switch (c) {
      case 'b' -> new Node.WordBoundary(true);
      case 'B' -> new Node.WordBoundary(false);
      case 'A' -> new Node.Edge(false);
      case 'Z' -> new Node.Edge(true);
      default -> new Node.One(escapedSet(c));
    };
  }

  private CharacterSet escapedSet(char c) throws Unusable {
    return switch (c) {
      case 'd' -> CharacterSet.DIGIT;
      case 'D' -> CharacterSet.DIGIT.inverted();
      case 'w' -> CharacterSet.WORD;
      case 'W' -> CharacterSet.WORD.inverted();
      case 's' -> CharacterSet.SPACE;
      case 'S' -> CharacterSet.SPACE.inverted();
      default -> {
        if (c >= 128 || CharacterSet.WORD.contains(c) && c != '_') {
          throw new Unusable(false, "the escape '\\" + c + "'");
        }
        yield CharacterSet.NONE.with(c);
      }
    };
  }

  private CharacterSet characterClass() throws Unusable {
    boolean inverted = take('^');
    CharacterSet set = CharacterSet.NONE;
    boolean first = true;
    while (true) {
      char c = next("a character class that is not closed");
      if (c == ']' && !first) {
        return inverted ? set.inverted() : set;
      }
      first = false;
      CharacterSet single =
          c == '\\' ? escapedSet(next("an escape without a character")) : CharacterSet.NONE.with(c);
      boolean range =
          at + 1 < pattern.length() && pattern.charAt(at) == '-' && pattern.charAt(at + 1) != ']';
      if (range) {
        at++;
        char to = next("a range without its end");
        if (c == '\\' || to == '\\' || to < c) {
          throw syntax("a range of characters that is none");
        }
        set = set.with(c, to);
      } else {
        set = set.with(single);
      }
    }
  }

  private char next(String missing) throws Unusable {
    if (at == pattern.length()) {
      throw syntax(missing);
    }
    return pattern.charAt(at++);
  }

  private boolean take(char c) {
    if (at < pattern.length() && pattern.charAt(at) == c) {
      at++;
      return true;
    }
    return false;
  }

  private static Unusable syntax(String found) {
    return new Unusable(true, found);
  }
}
