package dev.lorikeet.conformance.trial;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A test as its name tells it: {@code required_X4_rowsInNoSegmentStayBitForBit}.
 *
 * @param kind {@code required}, {@code optional}, {@code stochastic} or {@code untested}
 * @param rule the number of the rule
 * @param method the name of the method
 */
public record RuleTest(String kind, String rule, String method) {
  private static final Pattern NAME =
      Pattern.compile("(required|optional|stochastic|untested)_([A-Z]\\d+)_\\w+");

  /** Reads a method's name; empty if it is none of a rule's test. */
  public static Optional<RuleTest> of(String method) {
    Matcher name = NAME.matcher(method);
    return name.matches()
        ? Optional.of(new RuleTest(name.group(1), name.group(2), method))
        : Optional.empty();
  }
}
