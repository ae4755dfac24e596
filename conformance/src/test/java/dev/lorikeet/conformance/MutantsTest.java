package dev.lorikeet.conformance;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.lorikeet.conformance.executor.ExecutorMutants;
import dev.lorikeet.conformance.model.ModelMutants;
import dev.lorikeet.conformance.pool.PoolMutants;
import dev.lorikeet.conformance.router.RouterMutants;
import dev.lorikeet.conformance.store.StoreMutants;
import dev.lorikeet.conformance.trial.RuleTest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Event;

/** Each faulty implementation is caught by the rule that it breaks, and by no unrelated flood. */
class MutantsTest {
  private static final int RUNS = 20;

  static List<Mutant> all() {
    List<Mutant> all = new ArrayList<>();
    all.addAll(PoolMutants.all());
    all.addAll(StoreMutants.all());
    all.addAll(ExecutorMutants.all());
    all.addAll(RouterMutants.all());
    all.addAll(ModelMutants.all());
    return all;
  }

  @TestFactory
  Stream<DynamicTest> everyFaultIsCaughtByItsRule() {
    String only = System.getProperty("lorikeet.conformance.mutants", "");
    return all().stream()
        .filter(m -> (m.suite().getSimpleName() + ": " + m.fault()).contains(only))
        .map(m -> dynamicTest(m.suite().getSimpleName() + ": " + m.fault(), () -> expectCaught(m)));
  }

  private static void expectCaught(Mutant mutant) {
    Map<String, String> broken = new TreeMap<>();
    // A race shows in some runs only; the suite says so of its stochastic rules, and a vendor runs
    // it more than once.
    for (int run = 0; run < RUNS && !broken.keySet().containsAll(mutant.caughtBy()); run++) {
      run(mutant, Integer.toHexString(0x2a + run), broken);
    }
    assertTrue(
        broken.keySet().containsAll(mutant.caughtBy()),
        () -> "expected " + mutant.caughtBy() + " to catch it, found " + broken);
    broken.keySet().removeAll(mutant.caughtBy());
    broken.keySet().removeAll(mutant.mayAlso());
    assertTrue(broken.isEmpty(), () -> "expected no other rule to be broken, found " + broken);
  }

  private static void run(Mutant mutant, String seed, Map<String, String> broken) {
    ScopedValue.where(MutantSuites.FACTORY, mutant.factory())
        .run(
            () ->
                EngineTestKit.engine("junit-jupiter")
                    .selectors(selectClass(mutant.suite()))
                    .configurationParameter("lorikeet.conformance.seed", seed)
                    .configurationParameter("lorikeet.conformance.profile", "quick")
                    .configurationParameter("lorikeet.conformance.patience", "4")
                    .execute()
                    .testEvents()
                    .failed()
                    .stream()
                    .forEach(event -> broken.merge(rule(event), reason(event), (a, b) -> a)));
  }

  private static String rule(Event event) {
    String name =
        event
            .getTestDescriptor()
            .getSource()
            .map(Object::toString)
            .orElse("")
            .replaceAll(".*methodName = '(\\w+)'.*", "$1");
    return RuleTest.of(name).map(RuleTest::rule).orElse(name);
  }

  private static String reason(Event event) {
    return event
        .getPayload(TestExecutionResult.class)
        .flatMap(TestExecutionResult::getThrowable)
        .map(Throwable::toString)
        .orElse("");
  }

  @Test
  void killTableIsCurrent() {
    StringBuilder text = new StringBuilder();
    text.append("# Faults that the suite catches\n\n");
    text.append(
        "Generated from the faulty implementations in `src/test`, each of which a test runs through the whole suite of its contract: the rules of the second\n"
            + "column must catch it, those of the third may see it as well, no other may. "
            + all().size()
            + " faults.\n");
    String suite = "";
    for (Mutant mutant : all()) {
      if (!mutant.suite().getSimpleName().equals(suite)) {
        suite = mutant.suite().getSimpleName();
        text.append("\n## ")
            .append(suite)
            .append("\n| fault | caught by | may be seen by |\n| --- | --- | --- |\n");
      }
      text.append("| ").append(mutant.fault()).append(" | ");
      text.append(String.join(", ", mutant.caughtBy())).append(" | ");
      text.append(String.join(", ", mutant.mayAlso())).append(" |\n");
    }
    GeneratedFile.expectCurrent("KILLS.md", text.toString());
  }
}
