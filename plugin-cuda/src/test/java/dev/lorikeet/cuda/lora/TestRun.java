package dev.lorikeet.cuda.lora;

import java.io.PrintStream;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/** Runs JUnit classes and prints each test as it ends. */
final class TestRun implements TestExecutionListener {
  private final PrintStream out;
  private final Instant begin = Instant.now();
  private final List<String> failures = new ArrayList<>();
  private Instant start = begin;
  private int passed;
  private int skipped;

  private TestRun(PrintStream out) {
    this.out = out;
  }

  static TestRun of(List<Class<?>> classes, PrintStream out) {
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(classes.stream().map(DiscoverySelectors::selectClass).toList())
            .build();
    TestRun run = new TestRun(out);
    LauncherFactory.create().execute(request, run);
    return run;
  }

  @Override
  public void executionStarted(TestIdentifier test) {
    start = Instant.now();
  }

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    skipped++;
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    double seconds = Duration.between(start, Instant.now()).toMillis() / 1000.0;
    String name = test.getDisplayName();
    switch (result.getStatus()) {
      case SUCCESSFUL -> {
        if (test.isTest()) {
          passed++;
          out.printf(Locale.ROOT, "passed %s, %.1f s%n", name, seconds);
        }
      }
      case ABORTED -> skipped++;
      case FAILED -> {
        String why = result.getThrowable().map(Throwable::toString).orElse("no reason");
        failures.add(name + ": " + why);
        out.printf(Locale.ROOT, "FAILED %s, %.1f s: %s%n", name, seconds, why);
        result
            .getThrowable()
            .ifPresent(
                t -> {
                  for (int i = 0; i < Math.min(6, t.getStackTrace().length); i++) {
                    out.println("    at " + t.getStackTrace()[i]);
                  }
                });
      }
    }
  }

  int passed() {
    return passed;
  }

  int skipped() {
    return skipped;
  }

  List<String> failures() {
    return failures;
  }

  double seconds() {
    return Duration.between(begin, Instant.now()).toMillis() / 1000.0;
  }
}
