package dev.lorikeet.text.jinja;

/**
 * Looks for a text in others in a time that grows with their length alone, whatever they hold: a
 * long text is found by the algorithm of Knuth, Morris and Pratt, a short one by the JVM's own.
 */
final class Search {
  private static final int SHORT = 16;

  private final String part;
  private final int[] borders;

  private Search(String part, int[] borders) {
    this.part = part;
    this.borders = borders;
  }

  static Search of(String part) {
    if (part.length() <= SHORT) {
      return new Search(part, new int[0]);
    }
    Limits.write(2L * part.length());
    int[] borders = new int[part.length()];
    int matched = 0;
    for (int i = 1; i < borders.length; i++) {
      while (matched > 0 && part.charAt(i) != part.charAt(matched)) {
        matched = borders[matched - 1];
      }
      matched += part.charAt(i) == part.charAt(matched) ? 1 : 0;
      borders[i] = matched;
    }
    return new Search(part, borders);
  }

  int length() {
    return part.length();
  }

  /** Returns the next place of the part, from {@code from} on, or -1. */
  int next(String text, int from) {
    int found = borders.length == 0 ? text.indexOf(part, from) : find(text, from);
    Limits.read(2 + (found < 0 ? text.length() : found + part.length()) - from);
    return found;
  }

  private int find(String text, int from) {
    int matched = 0;
    for (int i = from; i < text.length(); i++) {
      while (matched > 0 && text.charAt(i) != part.charAt(matched)) {
        matched = borders[matched - 1];
      }
      matched += text.charAt(i) == part.charAt(matched) ? 1 : 0;
      if (matched == part.length()) {
        return i + 1 - matched;
      }
    }
    return -1;
  }

  /** Returns how often the part is in a text, without overlap. */
  long count(String text) {
    long count = 0;
    for (int i = next(text, 0); i >= 0; i = next(text, i + Math.max(1, part.length()))) {
      count++;
    }
    return count;
  }
}
