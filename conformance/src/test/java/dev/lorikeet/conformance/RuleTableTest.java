package dev.lorikeet.conformance;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.trial.RuleTest;
import dev.lorikeet.conformance.trial.Specification;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class RuleTableTest {
  private static final List<Class<?>> SUITES =
      List.of(
          PagePoolConformance.class,
          AdapterStoreConformance.class,
          LoraExecutorConformance.class,
          RouterConformance.class,
          BaseModelConformance.class);

  private final Specification specification = Specification.bundled();

  @Test
  void theSuiteWasBuiltWithTheSpecificationOfThisTree() throws IOException {
    assertEquals(
        Specification.parse(Files.readAllLines(Path.of("../spi/SPECIFICATION.md"))), specification);
    assertTrue(specification.rules().size() > 80, "rules: " + specification.rules().size());
  }

  @Test
  void everyTestCarriesTheNumberOfARule() {
    for (String method : methods()) {
      RuleTest test =
          RuleTest.of(method)
              .orElseThrow(() -> new AssertionError(method + ": expected a rule's number"));
      assertTrue(
          specification.rules().containsKey(test.rule()),
          () -> method + ": the specification has no rule " + test.rule());
    }
  }

  @Test
  void everyRuleHasATestOrAReasonWhyNot() {
    Set<String> missing = new TreeSet<>(specification.rules().keySet());
    missing.removeAll(byRule().keySet());
    assertEquals(Set.of(), missing, "rules without a test");
  }

  @Test
  void kindsMatchTheSpecification() {
    byRule()
        .forEach(
            (rule, tests) -> {
              String text = specification.rules().getOrDefault(rule, "");
              assertEquals(
                  text.contains("*untested"),
                  tests.stream().anyMatch(test -> test.kind().equals("untested")),
                  () -> rule + ": marked untested, here or there");
              if (text.contains("*stochastic*")) {
                assertTrue(
                    tests.stream().anyMatch(test -> test.kind().equals("stochastic")),
                    () -> rule + ": expected a stochastic test");
              }
            });
  }

  /** Returns the names of all test methods of the suite. */
  private static Set<String> methods() {
    Set<String> names = new TreeSet<>();
    for (Class<?> suite : SUITES) {
      for (Method method : suite.getMethods()) {
        if (method.isAnnotationPresent(Test.class)) {
          names.add(method.getName());
        }
      }
    }
    return names;
  }

  private static Map<String, List<RuleTest>> byRule() {
    Map<String, List<RuleTest>> byRule = new TreeMap<>();
    for (String method : methods()) {
      RuleTest.of(method)
          .ifPresent(
              test -> byRule.computeIfAbsent(test.rule(), rule -> new ArrayList<>()).add(test));
    }
    return byRule;
  }

  @Test
  void ruleTableIsCurrent() {
    StringBuilder text = new StringBuilder();
    text.append("# Rules and their tests\n\n");
    text.append(
        "Generated from [SPECIFICATION.md](../spi/SPECIFICATION.md) and the suite; the build fails when a rule has no test, or a test no rule.\n");
    Map<String, List<RuleTest>> tests = byRule();
    String letter = "";
    for (Map.Entry<String, String> rule : specification.rules().entrySet()) {
      String number = rule.getKey();
      if (!number.substring(0, 1).equals(letter)) {
        letter = number.substring(0, 1);
        text.append("\n## ")
            .append(letter)
            .append("\n| rule | text | tests |\n| --- | --- | --- |\n");
      }
      text.append("| ").append(number).append(" | ").append(rule.getValue().replace("|", "\\|"));
      text.append(" | ");
      text.append(
          String.join(
              "<br>",
              tests.getOrDefault(number, List.of()).stream()
                  .map(test -> "`" + test.method() + "`")
                  .toList()));
      text.append(" |\n");
    }
    GeneratedFile.expectCurrent("RULES.md", text.toString());
  }
}
