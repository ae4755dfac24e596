package dev.lorikeet.conformance.runner;

import dev.lorikeet.Plugin;
import dev.lorikeet.conformance.setup.Profile;
import dev.lorikeet.conformance.trial.Specification;
import java.io.PrintStream;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/** The report for people. */
final class TextReport {
  private static final int WIDTH = 150;

  private final PrintStream out;
  private final Profile profile;
  private final String seed;
  private final Specification specification = Specification.bundled();

  TextReport(PrintStream out, Profile profile, long seed) {
    this.out = out;
    this.profile = profile;
    this.seed = Long.toHexString(seed);
  }

  void begin(int providers) {
    out.println(
        "Lorikeet conformance: "
            + providers
            + (providers == 1 ? " provider" : " providers")
            + ", profile "
            + profile.name().toLowerCase(Locale.ROOT)
            + ", seed "
            + seed);
  }

  void print(PluginReport report) {
    Plugin plugin = report.plugin();
    out.println();
    out.println(plugin.kind().title() + " '" + plugin.name() + "'");
    out.println(
        "  "
            + plugin.className()
            + (plugin.location().isEmpty() ? "" : " in " + plugin.location()));
    report
        .options()
        .forEach((key, value) -> out.println("  option " + key + " = " + shortened(value)));
    if (!plugin.isAvailable()) {
      out.println(
          (plugin.isFailed() ? "  FAILED to load: " : "  unavailable here: ")
              + plugin.availability().detail());
    }
    report.byRule().forEach(this::rule);
    if (!plugin.isFailed()) {
      out.println("  => " + summary(report));
    }
  }

  private static String summary(PluginReport report) {
    if (!report.tested() && report.broken().isEmpty()) {
      return report.plugin().isAvailable() && report.options().isEmpty()
          ? "not tested; if it needs options: --option "
              + ProviderOption.address(report.plugin())
              + ".KEY=VALUE"
          : "not tested";
    }
    return report.conforms()
        ? "conforms"
        : "does NOT conform; broken: " + String.join(", ", report.broken());
  }

  private void rule(String rule, List<TestOutcome> tests) {
    Verdict verdict = PluginReport.verdict(tests);
    double seconds = tests.stream().mapToDouble(TestOutcome::seconds).sum();
    OptionalDouble worst =
        tests.stream()
            .map(TestOutcome::worstError)
            .filter(OptionalDouble::isPresent)
            .mapToDouble(OptionalDouble::getAsDouble)
            .max();
    StringBuilder line = new StringBuilder();
    line.append(
        String.format(
            Locale.ROOT,
            "  %-4s %-15s %2d %-5s %7.2f s",
            rule,
            verdict,
            tests.size(),
            tests.size() == 1 ? "test" : "tests",
            seconds));
    worst.ifPresent(
        error ->
            line.append(String.format(Locale.ROOT, "   worst error %.2g of tolerance", error)));
    if (verdict == Verdict.NOT_APPLICABLE || verdict == Verdict.UNTESTED) {
      line.append("   ").append(tests.getFirst().reason());
    }
    out.println(line);
    if (verdict == Verdict.FAIL) {
      out.println("         rule:  " + shortened(specification.rules().getOrDefault(rule, "?")));
      for (TestOutcome test : tests) {
        if (test.verdict() == Verdict.FAIL) {
          out.println("         test:  " + test.test());
          out.println("         found: " + shortened(test.reason()));
          out.println("         again: --seed " + test.seed());
        }
      }
    }
  }

  private static String shortened(String text) {
    String line = text.lines().map(String::strip).reduce((a, b) -> a + " " + b).orElse("");
    return line.length() <= 2 * WIDTH ? line : line.substring(0, 2 * WIDTH) + "...";
  }

  /** Prints the end; returns whether all that was tested conforms, and something was. */
  boolean end(List<PluginReport> reports) {
    long conforming = reports.stream().filter(PluginReport::conforms).count();
    long broken =
        reports.stream().filter(r -> r.plugin().isFailed() || !r.broken().isEmpty()).count();
    long idle = reports.size() - conforming - broken;
    out.println();
    out.println(
        conforming
            + " of "
            + reports.size()
            + " conform"
            + (broken == 0 ? "" : ", " + broken + " do not")
            + (idle == 0 ? "" : ", " + idle + " could not be tested here"));
    return broken == 0 && conforming > 0;
  }
}
