package dev.lorikeet.host.router;

import dev.lorikeet.routing.RequestContext;
import java.lang.Character.UnicodeScript;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/** What a rule asks of a request. Thread-safe. */
sealed interface Condition {
  String ATTRIBUTE = "attribute.";

  /** Returns whether a request is meant. */
  boolean holds(RequestContext context);

  /**
   * Reads a condition.
   *
   * @param key {@code prompt}, {@code tenant}, {@code language}, {@code script} or {@code
   *     attribute.NAME}
   * @param values any of which makes the condition hold
   * @throws IllegalArgumentException that tells key, value and what was expected
   */
  static Condition parse(String key, List<String> values) {
    if (values.isEmpty()) {
      throw new IllegalArgumentException("'" + key + "': expected at least one value, found none");
    }
    return switch (key) {
      case "prompt" -> new Prompt(values.stream().map(Condition::pattern).toList());
      case "tenant" -> new Tenant(values);
      case "language" -> new Language(values.stream().map(Language::normal).toList());
      case "script" -> new Script(values.stream().map(Condition::script).toList());
      default -> {
        if (!key.startsWith(ATTRIBUTE) || key.length() == ATTRIBUTE.length()) {
          throw new IllegalArgumentException(
              "'"
                  + key
                  + "': unknown, expected prompt, tenant, language, script or attribute.NAME");
        }
        yield new Attribute(key.substring(ATTRIBUTE.length()), values);
      }
    };
  }

  private static Pattern pattern(String text) {
    try {
      return Pattern.compile(text);
    } catch (PatternSyntaxException e) {
      throw new IllegalArgumentException(
          "'prompt': expected a regular expression, found '"
              + text
              + "': "
              + e.getDescription()
              + " at "
              + e.getIndex(),
          e);
    }
  }

  private static UnicodeScript script(String name) {
    try {
      return UnicodeScript.forName(name);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "'script': expected a Unicode script such as Cyrillic, found '" + name + "'", e);
    }
  }

  /** One of the patterns matches somewhere in the prompt's text. */
  record Prompt(List<Pattern> patterns) implements Condition {
    @Override
    public boolean holds(RequestContext context) {
      for (Pattern pattern : patterns) {
        if (found(pattern, context.text())) {
          return true;
        }
      }
      return false;
    }

    private static boolean found(Pattern pattern, String text) {
      try {
        return pattern.matcher(new StepLimitedText(text)).find();
      } catch (StepLimitedText.TooManySteps | StackOverflowError e) {
        String reason =
            e instanceof StackOverflowError ? "went too deep" : String.valueOf(e.getMessage());
        throw new IllegalStateException(
            "'prompt': the pattern '" + pattern + "' " + reason + " on this prompt", e);
      }
    }
  }

  /** The tenant is one of these. */
  record Tenant(List<String> names) implements Condition {
    @Override
    public boolean holds(RequestContext context) {
      return names.contains(context.tenant());
    }
  }

  /** An attribute has one of these values. */
  record Attribute(String name, List<String> values) implements Condition {
    @Override
    public boolean holds(RequestContext context) {
      String value = context.attributes().get(name);
      return value != null && values.contains(value);
    }
  }

  /**
   * The attribute {@code language} is in one of these language ranges (basic filtering of RFC 4647:
   * {@code de} means {@code de-AT} too).
   */
  record Language(List<String> ranges) implements Condition {
    @Override
    public boolean holds(RequestContext context) {
      String tag = normal(context.attributes().getOrDefault("language", ""));
      return ranges.stream().anyMatch(range -> tag.equals(range) || tag.startsWith(range + "-"));
    }

    static String normal(String tag) {
      return tag.strip().replace('_', '-').toLowerCase(Locale.ROOT);
    }
  }

  /** Most letters of the prompt are of one of these scripts. */
  record Script(List<UnicodeScript> scripts) implements Condition {
    @Override
    public boolean holds(RequestContext context) {
      Map<UnicodeScript, Integer> letters = new EnumMap<>(UnicodeScript.class);
      context
          .text()
          .codePoints()
          .filter(Character::isLetter)
          .forEach(letter -> letters.merge(UnicodeScript.of(letter), 1, Integer::sum));
      return letters.entrySet().stream()
          .max(Map.Entry.comparingByValue())
          .filter(most -> scripts.contains(most.getKey()))
          .isPresent();
    }
  }
}
