package dev.lorikeet.conformance.trial;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The rules of the specification, by number, in its order.
 *
 * @param rules number and text of each rule
 */
public record Specification(Map<String, String> rules) {
  private static final Pattern RULE = Pattern.compile("- \\*\\*([A-Z]\\d+)\\*\\* (.*)");

  public Specification {
    rules = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(rules));
  }

  /** Returns the specification that this suite was built with. */
  public static Specification bundled() {
    try (InputStream in = Specification.class.getResourceAsStream("SPECIFICATION.md")) {
      if (in == null) {
        throw new IllegalStateException("SPECIFICATION.md: not packed with the suite");
      }
      return parse(new String(in.readAllBytes(), StandardCharsets.UTF_8).lines().toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Reads the lines of a specification. */
  public static Specification parse(List<String> lines) {
    Map<String, String> rules = new LinkedHashMap<>();
    String last = "";
    for (String line : lines) {
      Matcher rule = RULE.matcher(line);
      if (rule.matches()) {
        last = rule.group(1);
        if (rules.put(last, rule.group(2)) != null) {
          throw new IllegalArgumentException("rule " + last + ": stands there twice");
        }
      } else if (!last.isEmpty() && line.startsWith("  ")) {
        rules.merge(last, " " + line.strip(), String::concat);
      } else {
        last = "";
      }
    }
    return new Specification(rules);
  }
}
