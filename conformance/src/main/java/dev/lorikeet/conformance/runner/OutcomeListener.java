package dev.lorikeet.conformance.runner;

import dev.lorikeet.conformance.trial.RuleTest;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.reporting.ReportEntry;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Collects what JUnit tells of the suite's tests. */
final class OutcomeListener implements TestExecutionListener {
  private static final String NOT_APPLICABLE = "not applicable: ";
  private static final String UNTESTED = "untested: ";

  private final List<TestOutcome> outcomes = new ArrayList<>();
  private final Map<String, Long> started = new HashMap<>();
  private final Map<String, Map<String, String>> entries = new HashMap<>();

  List<TestOutcome> outcomes() {
    return List.copyOf(outcomes);
  }

  @Override
  public void executionStarted(TestIdentifier test) {
    started.put(test.getUniqueId(), System.nanoTime());
  }

  @Override
  public void reportingEntryPublished(TestIdentifier test, ReportEntry entry) {
    entries
        .computeIfAbsent(test.getUniqueId(), id -> new HashMap<>())
        .putAll(entry.getKeyValuePairs());
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    Optional<RuleTest> name =
        test.getSource()
            .filter(MethodSource.class::isInstance)
            .map(MethodSource.class::cast)
            .flatMap(method -> RuleTest.of(method.getMethodName()));
    if (name.isEmpty()) {
      result.getThrowable().ifPresent(failure -> containerFailed(test, failure));
      return;
    }
    long start = started.getOrDefault(test.getUniqueId(), System.nanoTime());
    Map<String, String> told = entries.getOrDefault(test.getUniqueId(), Map.of());
    String error = told.get("worstError");
    String message =
        result.getThrowable().map(failure -> String.valueOf(failure.getMessage())).orElse("");
    outcomes.add(
        new TestOutcome(
            name.get().rule(),
            name.get().kind(),
            name.get().method(),
            verdict(result.getStatus(), message),
            reason(result, message),
            result.getStatus() == TestExecutionResult.Status.FAILED
                ? result.getThrowable().map(OutcomeListener::trace).orElse("")
                : "",
            told.getOrDefault("seed", ""),
            error == null ? OptionalDouble.empty() : OptionalDouble.of(Double.parseDouble(error)),
            (System.nanoTime() - start) / 1e9));
  }

  /** The suite itself could not run: said as a failure of the first provider rule. */
  private void containerFailed(TestIdentifier test, Throwable failure) {
    outcomes.add(
        new TestOutcome(
            "V2",
            "required",
            test.getDisplayName(),
            Verdict.FAIL,
            failure.toString(),
            trace(failure),
            "",
            OptionalDouble.empty(),
            0));
  }

  private static Verdict verdict(TestExecutionResult.Status status, String message) {
    return switch (status) {
      case SUCCESSFUL -> Verdict.PASS;
      case FAILED -> Verdict.FAIL;
      case ABORTED -> message.startsWith(UNTESTED) ? Verdict.UNTESTED : Verdict.NOT_APPLICABLE;
    };
  }

  private static String reason(TestExecutionResult result, String message) {
    return switch (result.getStatus()) {
      case SUCCESSFUL -> "";
      case ABORTED ->
          message.startsWith(UNTESTED)
              ? message.substring(UNTESTED.length())
              : message.startsWith(NOT_APPLICABLE)
                  ? message.substring(NOT_APPLICABLE.length())
                  : message;
      case FAILED ->
          result
              .getThrowable()
              .map(
                  failure ->
                      failure instanceof AssertionError && !message.isBlank()
                          ? message
                          : failure.toString())
              .orElse("");
    };
  }

  private static String trace(Throwable failure) {
    StringWriter text = new StringWriter();
    failure.printStackTrace(new PrintWriter(text));
    return text.toString();
  }
}
