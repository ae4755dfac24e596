package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.shape.ModelShape;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Everything that a run of {@code bench serve} found; the shape of its JSON. */
record ServeReport(
    String benchmark,
    String started,
    Machine machine,
    Roofline roofline,
    Model model,
    int rounds,
    int tokens,
    List<ContenderResult> contenders,
    List<Agreement> agreement,
    List<ScenarioResult> scenarios,
    List<Criterion> criteria) {

  /**
   * The model.
   *
   * @param name its preset or directory
   * @param shape its sizes
   * @param weightBytes what a step reads of it
   * @param adapterBytes what a step reads of one adapter
   */
  record Model(String name, ModelShape shape, long weightBytes, long adapterBytes) {}

  /**
   * A contender.
   *
   * @param name its name
   * @param title its name and version
   * @param unavailable why it was not measured, null if it was
   * @param chosen the settings that were measured: the fastest of those tried
   * @param tried settings and what came of them, tokens/s
   * @param residentBytes memory of its process at the end
   */
  record ContenderResult(
      String name,
      String title,
      @Nullable String unavailable,
      Map<String, String> chosen,
      List<Trial> tried,
      long residentBytes) {}

  /** One setting that was tried; the figure is 0 where it failed. */
  record Trial(Map<String, String> settings, double tokensPerSecond, @Nullable String failure) {}

  /**
   * What was found in one scenario.
   *
   * @param rooflineTokensPerSecond what the machine allows
   * @param results by contender
   */
  record ScenarioResult(
      String name, String title, double rooflineTokensPerSecond, Map<String, Result> results) {
    Optional<Result> of(Contender contender) {
      return Optional.ofNullable(results.get(contender.name()));
    }
  }

  /** What one contender did in one scenario, over the rounds. */
  record Result(
      Statistic tokensPerSecond,
      Statistic timeToFirstTokenMs,
      double fractionOfRoofline,
      List<Double> rounds) {}

  /**
   * A figure and what it should be.
   *
   * @param statement what is compared
   * @param value the figure; ratios are medians of the rounds' ratios
   * @param atLeast the bound below, null if there is none
   * @param atMost the bound above, null if there is none
   */
  record Criterion(
      String statement, Statistic value, @Nullable Double atLeast, @Nullable Double atMost) {
    boolean holds() {
      return (atLeast == null || value.median() >= atLeast)
          && (atMost == null || value.median() <= atMost);
    }

    /** Returns whether it holds, as JSON has it. */
    @com.fasterxml.jackson.annotation.JsonProperty("holds")
    boolean jsonHolds() {
      return holds();
    }
  }
}
