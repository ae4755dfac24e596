package dev.lorikeet.conformance;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

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

  private static final List<Class<?>> SUITES =
      List.of(
          PagePoolConformance.class,
          AdapterStoreConformance.class,
          LoraExecutorConformance.class,
          RouterConformance.class,
          BaseModelConformance.class);

  /** Reads a method's name; empty if it is none of a rule's test. */
  public static Optional<RuleTest> of(String method) {
    Matcher name = NAME.matcher(method);
    return name.matches()
        ? Optional.of(new RuleTest(name.group(1), name.group(2), method))
        : Optional.empty();
  }

  /** Returns the names of all test methods of the suite. */
  static Set<String> methods() {
    List<String> names = new ArrayList<>();
    for (Class<?> suite : SUITES) {
      for (Method method : suite.getMethods()) {
        if (method.isAnnotationPresent(Test.class)) {
          names.add(method.getName());
        }
      }
    }
    names.sort(Comparator.naturalOrder());
    return new LinkedHashSet<>(names);
  }
}
