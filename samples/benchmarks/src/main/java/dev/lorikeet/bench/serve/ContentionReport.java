package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.output.Statistic;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Everything that a run of {@code bench contention} found; the shape of its JSON. */
record ContentionReport(
    String benchmark,
    String started,
    Machine machine,
    String model,
    int threads,
    int rounds,
    int tokens,
    Map<String, String> contenders,
    List<Row> rows) {

  /**
   * What was found in one situation with one number of sequences.
   *
   * @param situation beside what
   * @param sequences how many at once
   * @param left the share of the processors that is left to a process with as many threads; 1 where
   *     nothing else wants them
   * @param skipped why it was not measured, null if it was
   * @param results by contender
   */
  record Row(
      String situation,
      int sequences,
      double left,
      @Nullable String skipped,
      Map<String, Result> results) {}

  /**
   * What one contender did.
   *
   * @param tokensPerSecond its figure
   * @param share of its own quiet figure of the same round
   */
  record Result(Statistic tokensPerSecond, Statistic share) {}
}
