package dev.lorikeet.text;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.JsonFile;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/*
 * The native library's regular expressions backtrack. On the wrong expression they take time beyond
 * any bound, and after ten million steps they end the process. So only expressions are let through
 * that cannot go wrong on a text of bounded length:
 *
 *   - alternatives that the tokenizers of known models consist of, which were looked at one by one;
 *   - alternatives in which nothing that must match follows a repetition without a bound, so that
 *     the first try succeeds, and in which repetitions are not nested; see PatternGrammar.
 *
 * Of the known ones, some look at all the white space that follows before they give up. That is
 * linear where another alternative then consumes it, and where none does the length of white space
 * is limited instead.
 */

/**
 * The {@code pattern} of a component: a string, or an expression that takes linear time.
 *
 * @param json the description for the native library
 * @param fewestBytes how many bytes a match has at least, 1 or more
 * @param mostBytes how many bytes a match has at most; infinite where there is no bound
 * @param letters whether no match goes on where a letter is followed by white space or punctuation
 * @param cutsLetters whether, in addition, one ends there
 * @param ofSpace whether it matches nothing but white space
 * @param slowOnSpace whether it takes quadratic time on white space
 */
record CheckedPattern(
    ObjectNode json,
    long fewestBytes,
    double mostBytes,
    boolean letters,
    boolean cutsLetters,
    boolean ofSpace,
    boolean slowOnSpace) {
  private static final int LONGEST_STRING = 64;
  private static final int LONGEST_EXPRESSION = 8192;
  private static final int BYTES_OF_CHARACTER = 4;
  private static final String KNOWN = "an object with a String or a Regex";

  /** What takes any letters, and ends at one. */
  private static final Set<String> ANY_LETTERS =
      Set.of(
          " ?\\p{L}+",
          "\\p{L}+",
          "[\\p{L}]+",
          "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+",
          "[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+",
          "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+");

  /** What ends at a letter, since white space and punctuation are only ever taken before one. */
  private static final Set<String> OF_LETTERS =
      with(
          ANY_LETTERS,
          "'s",
          "'t",
          "'re",
          "'ve",
          "'m",
          "'ll",
          "'d",
          "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
          "'(?i:[sdmt]|ll|ve|re)",
          "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
          "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+",
          "[一-龥぀-ゟ゠-ヿ]+",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
              + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
              + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
          "\\d",
          "[0-9]",
          "[0-9][0-9][0-9]",
          "\\p{N}",
          "[\\p{N}]",
          "\\p{N}+",
          " ?\\p{N}+",
          "\\p{N}{1,3}",
          " ?[^\\s\\p{L}\\p{N}]+",
          "[^\\s\\p{L}\\p{N}]+",
          " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*",
          " ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*",
          " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
          " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*",
          " ?[\\p{P}\\p{S}]+[\\r\\n]*",
          "[\\r\\n]",
          "\\s+",
          "\\s");

  /** How the two begin that together take any letters. */
  private static final String LETTERS_BY_CASE = "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}";

  private static final Pattern ONLY_SPACE =
      Pattern.compile("(?: |\\\\s|\\[\\\\r\\\\n\\])[+*?{},0-9]*");

  /** What looks at all white space that follows, and may then give up. */
  private static final Set<String> OF_SPACE =
      Set.of("\\s*[\\r\\n]+", "\\s*[\\r\\n]", "\\s+(?!\\S)", "\\s+$", "\\s++$");

  /** Of those, what takes white space whenever there are two characters of it. */
  private static final String ALL_BUT_ONE = "\\s+(?!\\S)";

  private static Set<String> with(Set<String> some, String... others) {
    return Stream.concat(some.stream(), Stream.of(others)).collect(Collectors.toUnmodifiableSet());
  }

  /** Checks the pattern of a component. */
  static CheckedPattern check(JsonFile component, Nesting nesting) {
    JsonFile pattern =
        component.object("pattern").orElseThrow(() -> component.missing("pattern", KNOWN));
    if (pattern.has("String")) {
      return string(pattern, pattern.text("String").orElse(""));
    }
    if (pattern.has("Regex")) {
      return expression(pattern, pattern.text("Regex").orElse(""), nesting);
    }
    throw component.wrong("pattern", pattern.root(), KNOWN);
  }

  private static CheckedPattern string(JsonFile file, String text) {
    if (text.isEmpty() || text.length() > LONGEST_STRING) {
      throw file.unsupported(
          "String", text.length() + " characters", "1 to " + LONGEST_STRING + " characters");
    }
    long bytes = Utf8.length(text);
    return new CheckedPattern(
        json("String", text), bytes, bytes, false, false, text.isBlank(), false);
  }

  private static CheckedPattern expression(JsonFile file, String regex, Nesting nesting) {
    if (regex.isEmpty() || regex.length() > LONGEST_EXPRESSION) {
      throw file.unsupported(
          "Regex", regex.length() + " characters", "1 to " + LONGEST_EXPRESSION + " characters");
    }
    List<String> alternatives = PatternGrammar.alternatives(regex);
    long fewest = Long.MAX_VALUE;
    double most = 0;
    boolean ofSpace = false;
    for (String alternative : alternatives) {
      if (OF_SPACE.contains(alternative)) {
        ofSpace = true;
        fewest = 1;
        most = Double.POSITIVE_INFINITY;
      } else if (OF_LETTERS.contains(alternative)) {
        fewest = 1; // no more is asked of them
        most = Double.POSITIVE_INFINITY;
      } else {
        PatternGrammar.Length length =
            PatternGrammar.length(alternative)
                .orElseThrow(
                    () ->
                        file.unsupported(
                            "Regex",
                            alternative,
                            "alternatives of characters and classes of characters, at least one of"
                                + " which must match, where no repetition is nested and nothing"
                                + " that must match follows one without a bound"));
        nesting.countSteps(file, length.steps());
        fewest = Math.min(fewest, length.fewest());
        most = Math.max(most, length.most() * BYTES_OF_CHARACTER);
      }
    }
    boolean consumed =
        alternatives.contains("\\s+")
            || (alternatives.contains("\\s") && alternatives.contains(ALL_BUT_ONE));
    boolean letters =
        alternatives.stream().allMatch(a -> OF_LETTERS.contains(a) || OF_SPACE.contains(a));
    return new CheckedPattern(
        json("Regex", regex),
        fewest,
        most,
        letters,
        letters && takesLetters(alternatives),
        ONLY_SPACE.matcher(regex).matches(),
        ofSpace && !consumed);
  }

  private static boolean takesLetters(List<String> alternatives) {
    return alternatives.stream().anyMatch(ANY_LETTERS::contains)
        || alternatives.stream().filter(a -> a.startsWith(LETTERS_BY_CASE)).count() == 2;
  }

  private static ObjectNode json(String kind, String text) {
    return JsonNodeFactory.instance.objectNode().put(kind, text);
  }
}
