package dev.lorikeet.bench.train;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.output.Statistic;
import dev.lorikeet.training.trainer.MemoryPlan;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Everything that {@code bench train} finds, as it is written.
 *
 * @param benchmark its name
 * @param started when, ISO 8601
 * @param machine where
 * @param model which
 * @param rank of the adapters, on all projections
 * @param threads of every contender
 * @param rounds how often everything was measured
 * @param microBatchTokens the most tokens that go through the model at once
 * @param peakFlops multiply-adds of float32 that the machine can issue in a second, each counted as
 *     two operations; as {@code bench kernels} measures it
 * @param tried settings of PyTorch that were tried
 * @param noPeer why PyTorch was not measured; null if it was
 * @param rows by mix of tasks
 * @param criteria what the figures should be
 * @param plot the image, if there is one
 */
record TrainReport(
    String benchmark,
    String started,
    Machine machine,
    String model,
    int rank,
    int threads,
    int rounds,
    int microBatchTokens,
    double peakFlops,
    List<Trial> tried,
    @Nullable String noPeer,
    List<Row> rows,
    List<Criterion> criteria,
    @Nullable String plot) {

  /**
   * A setting of PyTorch on one task.
   *
   * @param tokensPerSecond by sequence length
   * @param firstLossDifference the largest, to Lorikeet's
   * @param failure why there are none
   */
  record Trial(
      TorchPeer.Settings settings,
      Map<Integer, Double> tokensPerSecond,
      double firstLossDifference,
      @Nullable String failure) {}

  /**
   * A mix of tasks; rates in tokens per second.
   *
   * @param together all tasks at once
   * @param apart one after the other
   * @param ratio of both, taken round by round
   * @param flops of a step of all tasks, each operation that it can't do without
   * @param flopsPerSecond at the median rate of all at once
   * @param shareOfPeak of what the machine can issue
   */
  record Row(
      String mix,
      List<Integer> lengths,
      Statistic together,
      Statistic apart,
      Statistic ratio,
      double flops,
      double flopsPerSecond,
      double shareOfPeak,
      @Nullable Peer peer,
      Memory memory) {}

  /**
   * PyTorch on the same tasks, one after the other, with its fastest settings for their length.
   *
   * @param ratio of Lorikeet, all tasks at once, to it, taken round by round
   * @param firstLossDifference the largest of first losses
   * @param lossDifference the largest of all losses
   */
  record Peer(
      TorchPeer.Settings settings,
      Statistic tokensPerSecond,
      Statistic ratio,
      double firstLossDifference,
      double lossDifference,
      long peakBytes) {}

  /**
   * Memory of a fresh process that trains all tasks at once, in bytes.
   *
   * @param plan what it said before
   * @param total the plan's sum
   * @param peakBytes the most resident memory of the process, the JVM included
   * @param jvmBytes of it the JVM's own: what it began with, heap, classes and compiled code
   * @param ratio of all else to the plan
   */
  record Memory(MemoryPlan plan, long total, long peakBytes, long jvmBytes, double ratio) {}

  /** A figure and the bound that it should keep. */
  record Criterion(String statement, double value, double atLeast, double atMost, boolean holds) {
    static Criterion atLeast(String statement, double value, double bound) {
      return new Criterion(statement, value, bound, Double.MAX_VALUE, value >= bound);
    }

    static Criterion between(String statement, double value, double least, double most) {
      return new Criterion(statement, value, least, most, value >= least && value <= most);
    }
  }
}
