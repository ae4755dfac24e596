package dev.lorikeet.training.pipeline;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.training.pipeline.PipelineSimulator.LinkTimes;
import dev.lorikeet.training.pipeline.PipelineSimulator.Load;
import dev.lorikeet.training.pipeline.PipelineSimulator.Outcome;
import dev.lorikeet.training.pipeline.PipelineSimulator.StageTimes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PipelineSimulatorTest {
  private static final LinkTimes NONE = new LinkTimes(0, 0);
  private static final double FORWARD = 1;
  private static final double BACKWARD = 2;

  private static List<StageTimes> alike(int stages) {
    return Collections.nCopies(stages, new StageTimes(FORWARD, BACKWARD, 0));
  }

  private static Outcome play(PipelineSchedule schedule, int stages, int tasks, int microBatches) {
    return PipelineSimulator.play(
        schedule, alike(stages), NONE, new Load(tasks, microBatches, 3, 2 * stages));
  }

  @Test
  void gpipeTakesWhatItsPaperSays() {
    for (int stages : new int[] {1, 2, 4, 8}) {
      for (int tasks : new int[] {1, 3, 8}) {
        double each = (tasks * 2 + stages - 1) * (FORWARD + BACKWARD);
        assertEquals(3 * each, play(PipelineSchedule.GPIPE, stages, tasks, 2).seconds(), 1e-9);
      }
    }
  }

  @Test
  void oneForwardOneBackwardTakesAsLong() {
    for (int stages : new int[] {1, 2, 4, 8}) {
      assertEquals(
          play(PipelineSchedule.GPIPE, stages, 8, 1).seconds(),
          play(PipelineSchedule.ONE_F_ONE_B, stages, 8, 1).seconds(),
          1e-9);
    }
  }

  @Test
  void independentTasksLeaveOnlyTheBeginningAndTheEndIdle() {
    for (int stages : new int[] {1, 2, 4, 8, 16}) {
      int tasks = 2 * stages;
      Outcome outcome =
          PipelineSimulator.play(
              PipelineSchedule.LORA_AWARE, alike(stages), NONE, new Load(tasks, 1, 50, tasks));
      double work = tasks * 50 * (FORWARD + BACKWARD);
      double fill = 3 * stages * (FORWARD + BACKWARD);
      assertTrue(outcome.seconds() <= work + fill, () -> stages + " stages: " + outcome);
    }
  }

  @Test
  void oneTaskOfOneMicroBatchKeepsOneStageBusyAtATime() {
    for (PipelineSchedule schedule : PipelineSchedule.values()) {
      Outcome outcome = play(schedule, 4, 1, 1);
      assertEquals(3 * 4 * (FORWARD + BACKWARD), outcome.seconds(), 1e-9, schedule.toString());
      assertEquals(0.75, outcome.idle(), 1e-9, schedule.toString());
    }
  }

  @ParameterizedTest
  @EnumSource
  void nothingIsLostOrDoneTwice(PipelineSchedule schedule) {
    long seed = System.nanoTime();
    SplittableRandom random = new SplittableRandom(seed);
    for (int round = 0; round < 200; round++) {
      int stages = random.nextInt(1, 9);
      List<StageTimes> times = new ArrayList<>();
      for (int s = 0; s < stages; s++) {
        times.add(
            new StageTimes(random.nextDouble(), 2 * random.nextDouble(), random.nextDouble() / 10));
      }
      LinkTimes link = new LinkTimes(random.nextDouble() / 10, random.nextDouble() / 10);
      Load load =
          new Load(
              random.nextInt(1, 12),
              random.nextInt(1, 4),
              random.nextInt(1, 5),
              random.nextInt(1, 20));
      Outcome outcome = PipelineSimulator.play(schedule, times, link, load);
      String where = "seed " + seed + ": " + times + ", " + link + ", " + load;
      double most = 0;
      for (int s = 0; s < stages; s++) {
        StageTimes t = times.get(s);
        double work =
            load.tasks()
                * load.steps()
                * (load.microBatches() * (t.forward() + t.backward()) + t.step());
        assertEquals(work, outcome.busy().get(s), 1e-9 * work, where);
        most = Math.max(most, work);
      }
      assertTrue(outcome.seconds() >= most * (1 - 1e-9), where);
      assertEquals(outcome, PipelineSimulator.play(schedule, times, link, load), where);
    }
  }

  @Test
  void theLargestLoadsAreMixedWithoutAnyWaitingForEver() {
    for (PipelineSchedule schedule : PipelineSchedule.values()) {
      Outcome outcome = play(schedule, 64, 256, 1);
      assertEquals(256 * 3, outcome.microBatches());
      assertTrue(outcome.idle() < 0.4, () -> schedule + ": " + outcome.idle());
    }
  }
}
