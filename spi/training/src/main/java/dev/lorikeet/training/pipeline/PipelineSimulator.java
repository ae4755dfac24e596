package dev.lorikeet.training.pipeline;

import dev.lorikeet.training.pipeline.PipelineSchedule.Standing;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;
import java.util.PriorityQueue;

/** Plays a pipeline on paper: what a schedule would give with given times. Deterministic. */
public final class PipelineSimulator {
  /*
   * Events in the order of their times. Stages choose by PipelineSchedule.next and micro-batches enter by
   * PipelineSchedule.mayEnter, as in the real pipeline; what is real there and a number here is how long things take:
   * forwards, backwards and steps of each stage, and messages. A stage that is free looks at what has come: first
   * steps, then what the schedule says. The coordinator takes no time.
   */
  private final PipelineSchedule schedule;
  private final List<StageTimes> times;
  private final LinkTimes link;
  private final Load load;
  private final PriorityQueue<Event> events =
      new PriorityQueue<>(Comparator.comparingDouble(Event::time).thenComparingLong(Event::number));
  private final List<Stage> stages = new ArrayList<>();
  private final Deque<Task> ready = new ArrayDeque<>();
  private double now;
  private long scheduled;
  private int underway;
  private int unfinished;
  private int round;

  /**
   * How long a stage takes for a micro-batch, in seconds.
   *
   * @param forward its forward
   * @param backward its backward, with what is computed again
   * @param step the change of the weights of one task
   */
  public record StageTimes(double forward, double backward, double step) {
    /** Returns the same for a stage that is so many times as slow. */
    public StageTimes times(double factor) {
      return new StageTimes(factor * forward, factor * backward, factor * step);
    }
  }

  /**
   * How long a message takes, in seconds.
   *
   * @param latency of any message
   * @param transfer what hidden states, or their gradient, take longer
   */
  public record LinkTimes(double latency, double transfer) {}

  /**
   * What is to be done.
   *
   * @param tasks how many, all alike
   * @param microBatches how many of them a task has in a step, each for itself
   * @param steps how many each task makes
   * @param window how many micro-batches may be under way at once, where there are no rounds
   */
  public record Load(int tasks, int microBatches, int steps, int window) {
    public Load {
      if (tasks < 1 || microBatches < 1 || steps < 1 || window < 1) {
        throw new IllegalArgumentException(
            "load: expected at least one of each, found "
                + tasks
                + " tasks, "
                + microBatches
                + " micro-batches, "
                + steps
                + " steps and a window of "
                + window);
      }
    }
  }

  /**
   * What came of it.
   *
   * @param seconds until the last step was made
   * @param busy how many of them each stage computed
   * @param microBatches how many went through
   */
  public record Outcome(double seconds, List<Double> busy, long microBatches) {
    /** Returns which share of the time a stage did nothing. */
    public double idle(int stage) {
      return 1 - busy.get(stage) / seconds;
    }

    /** Returns which share of the time the stages did nothing, on average. */
    public double idle() {
      return 1 - busy.stream().mapToDouble(b -> b).average().orElseThrow() / seconds;
    }

    /** Returns the throughput. */
    public double microBatchesPerSecond() {
      return microBatches / seconds;
    }
  }

  private record Event(double time, long number, Runnable action) {}

  private static final class Task {
    private int left;
    private int underway;
    private int steps;
  }

  private static final class MicroBatch {
    private final Task task;
    private int stagesLeft;

    MicroBatch(Task task, int stages) {
      this.task = task;
      this.stagesLeft = stages;
    }
  }

  private static final class Stage {
    private final int number;
    private final StageTimes times;
    private final Deque<MicroBatch> forwards = new ArrayDeque<>();
    private final Deque<MicroBatch> backwards = new ArrayDeque<>();
    private int steps;
    private boolean computes;
    private int forwardsDone;
    private int backwardsDone;
    private double busy;

    Stage(int number, StageTimes times) {
      this.number = number;
      this.times = times;
    }
  }

  private PipelineSimulator(
      PipelineSchedule schedule, List<StageTimes> times, LinkTimes link, Load load) {
    this.schedule = schedule;
    this.times = times;
    this.link = link;
    this.load = load;
    for (StageTimes stage : times) {
      stages.add(new Stage(stages.size(), stage));
    }
  }

  /** Plays all tasks from the first step to the last. */
  public static Outcome play(
      PipelineSchedule schedule, List<StageTimes> stages, LinkTimes link, Load load) {
    return new PipelineSimulator(schedule, List.copyOf(stages), link, load).play();
  }

  private Outcome play() {
    Task[] tasks = new Task[load.tasks()];
    Arrays.setAll(tasks, i -> new Task());
    unfinished = tasks.length;
    for (Task task : tasks) {
      begin(task);
    }
    enter();
    while (!events.isEmpty()) {
      Event event = events.remove();
      now = event.time;
      event.action.run();
    }
    if (unfinished > 0) {
      throw new IllegalStateException(schedule + ": " + unfinished + " tasks wait for ever");
    }
    return new Outcome(
        now,
        stages.stream().map(stage -> stage.busy).toList(),
        (long) load.tasks() * load.microBatches() * load.steps());
  }

  private void after(double seconds, Runnable action) {
    events.add(new Event(now + seconds, scheduled++, action));
  }

  private void begin(Task task) {
    task.left = load.microBatches();
    ready.add(task);
  }

  /** Lets in what may enter. */
  private void enter() {
    if (schedule.hasRounds()) {
      if (schedule.mayEnter(underway, load.window()) && ready.size() == unfinished) {
        round = ready.size() * load.microBatches();
        stages.forEach(stage -> stage.forwardsDone = stage.backwardsDone = 0);
        while (!ready.isEmpty()) {
          enterNext();
        }
      }
    } else {
      while (!ready.isEmpty() && schedule.mayEnter(underway, load.window())) {
        enterNext();
      }
    }
  }

  private void enterNext() {
    Task task = ready.remove();
    task.left--;
    task.underway++;
    underway++;
    if (task.left > 0) {
      ready.add(task);
    }
    MicroBatch batch = new MicroBatch(task, stages.size());
    after(link.latency(), () -> comes(stages.getFirst().forwards, batch, stages.getFirst()));
  }

  private void comes(Deque<MicroBatch> to, MicroBatch batch, Stage stage) {
    to.add(batch);
    look(stage);
  }

  private void look(Stage stage) {
    if (stage.computes) {
      return;
    }
    if (stage.steps > 0) {
      stage.steps--;
      compute(stage, stage.times.step(), () -> stepped(stage));
      return;
    }
    Standing standing =
        new Standing(
            stage.number,
            stages.size(),
            round,
            stage.forwardsDone,
            stage.backwardsDone,
            !stage.forwards.isEmpty(),
            !stage.backwards.isEmpty());
    switch (schedule.next(standing)) {
      case FORWARD -> {
        MicroBatch batch = stage.forwards.remove();
        stage.forwardsDone++;
        compute(stage, stage.times.forward(), () -> wentForward(stage, batch));
      }
      case BACKWARD -> {
        MicroBatch batch = stage.backwards.remove();
        stage.backwardsDone++;
        compute(stage, stage.times.backward(), () -> wentBack(stage, batch));
      }
      case WAIT -> {}
    }
  }

  private void compute(Stage stage, double seconds, Runnable then) {
    stage.computes = true;
    stage.busy += seconds;
    after(
        seconds,
        () -> {
          stage.computes = false;
          then.run();
          look(stage);
        });
  }

  private void wentForward(Stage stage, MicroBatch batch) {
    if (stage.number == times.size() - 1) {
      // Log-probabilities to the coordinator, coefficients back.
      after(2 * link.latency(), () -> comes(stage.backwards, batch, stage));
    } else {
      Stage next = stages.get(stage.number + 1);
      after(link.latency() + link.transfer(), () -> comes(next.forwards, batch, next));
    }
  }

  private void wentBack(Stage stage, MicroBatch batch) {
    if (stage.number > 0) {
      Stage before = stages.get(stage.number - 1);
      after(link.latency() + link.transfer(), () -> comes(before.backwards, batch, before));
    }
    after(
        link.latency(),
        () -> {
          if (--batch.stagesLeft == 0) {
            isThrough(batch.task);
          }
        });
  }

  private void isThrough(Task task) {
    underway--;
    if (--task.underway == 0 && task.left == 0) {
      task.steps++;
      Stage first = stages.getFirst();
      after(link.latency(), () -> stepComes(first));
      if (task.steps < load.steps()) {
        begin(task);
      } else {
        unfinished--;
      }
    }
    enter();
  }

  private void stepComes(Stage stage) {
    stage.steps++;
    look(stage);
  }

  private void stepped(Stage stage) {
    if (stage.number < times.size() - 1) {
      Stage next = stages.get(stage.number + 1);
      after(link.latency(), () -> stepComes(next));
    }
  }
}
