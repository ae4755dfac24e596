package dev.lorikeet.conformance.runner;

import dev.lorikeet.Plugin;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What was found out about one provider.
 *
 * @param plugin the provider
 * @param options what it was opened with
 * @param outcomes one per test; none if it could not be tested here
 */
record PluginReport(Plugin plugin, Map<String, String> options, List<TestOutcome> outcomes) {
  PluginReport {
    options = Collections.unmodifiableMap(new LinkedHashMap<>(options));
    outcomes = List.copyOf(outcomes);
  }

  /** Returns the tests by rule: the contract's own first, each in the order of its number. */
  Map<String, List<TestOutcome>> byRule() {
    Map<String, List<TestOutcome>> sorted =
        new TreeMap<>(
            Comparator.comparing((String rule) -> rule.startsWith("V"))
                .thenComparingInt(rule -> Integer.parseInt(rule.substring(1)))
                .thenComparing(Comparator.naturalOrder()));
    for (TestOutcome outcome : outcomes) {
      sorted.merge(
          outcome.rule(),
          List.of(outcome),
          (a, b) -> java.util.stream.Stream.concat(a.stream(), b.stream()).toList());
    }
    return new LinkedHashMap<>(sorted);
  }

  static Verdict verdict(List<TestOutcome> tests) {
    return tests.stream()
        .map(TestOutcome::verdict)
        .min(Comparator.naturalOrder())
        .orElse(Verdict.UNTESTED);
  }

  /** Returns the numbers of the rules that were seen broken. */
  List<String> broken() {
    return byRule().entrySet().stream()
        .filter(rule -> verdict(rule.getValue()) == Verdict.FAIL)
        .map(Map.Entry::getKey)
        .toList();
  }

  /** Returns whether anything could be found out about the contract itself. */
  boolean tested() {
    return plugin.isAvailable()
        && outcomes.stream()
            .anyMatch(
                o ->
                    o.verdict() == Verdict.FAIL
                        || (o.verdict() == Verdict.PASS && !isOfProviders(o.rule())));
  }

  private static boolean isOfProviders(String rule) {
    return rule.startsWith("V") || rule.equals("R11");
  }

  boolean conforms() {
    return tested() && broken().isEmpty();
  }
}
