package dev.lorikeet.bench.pipeline;

import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.training.pipeline.PipelineSimulator.LinkTimes;
import dev.lorikeet.training.pipeline.PipelineSimulator.StageTimes;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Everything that a run of {@code bench pipeline} found; the shape of its JSON.
 *
 * @param benchmark its name
 * @param started when, ISO 8601
 * @param machine where
 * @param model which
 * @param rank of the adapters, on all projections
 * @param tokens of a micro-batch
 * @param tasks how many
 * @param steps of each task that were measured
 * @param link how long messages take between processes of this machine
 * @param stageTimes what was played: the mean stage under the LoRA-aware schedule
 * @param measured of processes
 * @param simulated of more stages
 * @param criteria what the figures should be
 */
record PipelineReport(
    String benchmark,
    String started,
    Machine machine,
    String model,
    int rank,
    int tokens,
    int tasks,
    int steps,
    LinkTimes link,
    StageTimes stageTimes,
    List<Measured> measured,
    List<Simulated> simulated,
    List<Criterion> criteria) {

  /**
   * One way to learn.
   *
   * @param name of the way
   * @param processes how many
   * @param atOnce how many tasks at once
   * @param tokensPerSecond of all tasks together
   * @param toGpipe how many times as much as GPipe with all tasks
   * @param toGpipeAlone how many times as much as GPipe with one task after another
   * @param idle by stage, the share of the time
   * @param stages by stage, how long a micro-batch and a step took
   * @param simulatedTokensPerSecond what the simulator says; null for one process
   * @param simulatedIdle what the simulator says, by stage
   */
  record Measured(
      String name,
      int processes,
      int atOnce,
      double tokensPerSecond,
      double toGpipe,
      double toGpipeAlone,
      List<Double> idle,
      List<StageTimes> stages,
      @Nullable Double simulatedTokensPerSecond,
      List<Double> simulatedIdle) {

    /** Returns how far the simulator is off, as a share of what was measured. */
    double off() {
      return simulatedTokensPerSecond == null
          ? 0
          : Math.abs(simulatedTokensPerSecond / tokensPerSecond - 1);
    }
  }

  /**
   * What the simulator says of stages as those that were measured.
   *
   * @param stages how many
   * @param tasks how many
   * @param schedule its name
   * @param idle mean share of the time
   * @param toGpipe throughput, relative to GPipe with all tasks in one round
   * @param toGpipeAlone relative to GPipe with one task after another
   */
  record Simulated(
      int stages, int tasks, String schedule, double idle, double toGpipe, double toGpipeAlone) {}

  /**
   * What a figure should be.
   *
   * @param name what it is
   * @param value the figure
   * @param bound what it should be
   * @param holds whether it is
   */
  record Criterion(String name, double value, String bound, boolean holds) {}
}
