package dev.lorikeet.bench.train;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.bench.machine.Machine;
import dev.lorikeet.bench.process.Contestant;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.TrainableModel;
import dev.lorikeet.training.stage.TrainableModelProvider;
import dev.lorikeet.training.task.LoraMethod;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.MemoryPlan;
import dev.lorikeet.training.trainer.TaskExamples;
import dev.lorikeet.training.trainer.Trainer;
import dev.lorikeet.training.trainer.TrainingObserver;
import dev.lorikeet.training.trainer.TrainingTask;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The process in which Lorikeet trains, so that its memory is its own. It reads a line of JSON with
 * what to open, then one for each run, and answers each with a line.
 */
public final class LearnerProcess {
  private LearnerProcess() {}

  /**
   * What the process is told first.
   *
   * @param rank of the adapters, for the plan of memory
   * @param maxTokens of a micro-batch
   * @param activationBytes what a pass may keep
   */
  record Opening(String model, int threads, int rank, int maxTokens, long activationBytes) {}

  /**
   * What is to be trained, each task from the start of its adapter.
   *
   * @param adapters PEFT directories, task by task
   * @param ids sequences, one a step, task by task
   * @param rate the learning rate
   * @param together whether all at once, or one after the other
   */
  record Question(
      List<String> adapters, List<List<List<Integer>>> ids, double rate, boolean together) {}

  /**
   * What came of it.
   *
   * @param title the contender's name, after opening
   * @param failure why there is no outcome
   * @param losses of all steps, task by task
   * @param tokens of all steps but each task's first
   * @param seconds that they took
   * @param peakBytes the most resident memory of the process so far
   * @param jvmBytes what the JVM holds of it for itself: what it began with, heap, classes and
   *     compiled code
   * @param plan of the run's memory, where there is one
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Answer(
      @Nullable String title,
      @Nullable String failure,
      double @Nullable [][] losses,
      long tokens,
      double seconds,
      long peakBytes,
      long jvmBytes,
      @Nullable MemoryPlan plan) {
    double tokensPerSecond() {
      return tokens / seconds;
    }
  }

  /** Trains until the end of the input. */
  public static void main(String[] args) throws IOException {
    PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, UTF_8);
    ObjectMapper mapper = new ObjectMapper();
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    long before = Machine.residentBytes() - managed();
    try {
      Opening opening = mapper.readValue(in.readLine(), Opening.class);
      try (TrainableModel model =
          TrainableModelProvider.find(Optional.empty())
              .open(
                  Path.of(opening.model()),
                  opening.maxTokens(),
                  Map.of("threads", Integer.toString(opening.threads())))) {
        Retention retention =
            Retention.within(model.stage(), opening.maxTokens(), 1, opening.activationBytes());
        say(
            answers,
            mapper,
            new Answer("Lorikeet", null, null, 0, 0, peak(), before + managed(), null));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
          Question question = mapper.readValue(line, Question.class);
          say(answers, mapper, run(model, retention, opening.rank(), question, before));
        }
      }
    } catch (Exception | LinkageError e) {
      e.printStackTrace();
      say(
          answers,
          mapper,
          new Answer(null, String.valueOf(e), null, 0, 0, peak(), before + managed(), null));
    }
  }

  private static void say(PrintStream answers, ObjectMapper mapper, Answer answer)
      throws JsonProcessingException {
    answers.println(Contestant.ANSWER + mapper.writeValueAsString(answer));
  }

  private static long peak() {
    return Machine.peakBytes();
  }

  /** Returns the bytes of the heap, of classes and of compiled code. */
  private static long managed() {
    MemoryMXBean memory = ManagementFactory.getMemoryMXBean();
    return memory.getHeapMemoryUsage().getCommitted()
        + memory.getNonHeapMemoryUsage().getCommitted();
  }

  private static Answer run(
      TrainableModel model, Retention retention, int rank, Question question, long before)
      throws InterruptedException, ExecutionException {
    int[] all = IntStream.range(0, question.adapters().size()).toArray();
    int steps = question.ids().getFirst().size();
    List<TaskSpec> specs = new ArrayList<>();
    for (int task : all) {
      specs.add(
          TaskSpec.builder("task-" + task)
              .method(method(rank, Set.copyOf(Projection.ofLayer())))
              .start(Path.of(question.adapters().get(task)))
              .learningRate(question.rate())
              .steps(steps)
              .batchSize(1)
              .shuffle(false)
              .build());
    }
    double[][] losses = new double[all.length][];
    long tokens = 0;
    double seconds = 0;
    for (int[] group :
        question.together()
            ? List.of(all)
            : IntStream.of(all).mapToObj(t -> new int[] {t}).toList()) {
      Laps laps = train(model, retention, specs, question, group);
      for (int i = 0; i < group.length; i++) {
        losses[group[i]] = laps.losses()[i];
      }
      tokens += laps.tokens();
      seconds += laps.seconds();
    }
    MemoryPlan plan = MemoryPlan.of(model, retention, specs);
    return new Answer(null, null, losses, tokens, seconds, peak(), before + managed(), plan);
  }

  private static LoraMethod method(int rank, Set<Projection> targets) {
    return new LoraMethod(rank, rank, false, targets, Map.of(), Map.of(), 1, false);
  }

  /** Trains some tasks at once. */
  private static Laps train(
      TrainableModel model,
      Retention retention,
      List<TaskSpec> specs,
      Question question,
      int[] group)
      throws InterruptedException, ExecutionException {
    int[] lengths = IntStream.of(group).map(t -> question.ids().get(t).getFirst().size()).toArray();
    Laps laps = new Laps(lengths, question.ids().getFirst().size());
    try (Trainer trainer = new Trainer(model.stage(), model.info().shape(), retention)) {
      List<TrainingTask> tasks = new ArrayList<>();
      CountDownLatch complete = new CountDownLatch(1);
      try {
        hold(trainer, complete);
        for (int i = 0; i < group.length; i++) {
          int place = i;
          List<List<Integer>> ids = question.ids().get(group[i]);
          TrainingObserver observer = report -> laps.step(place, report.loss());
          tasks.add(
              trainer.submit(
                  specs.get(group[i]),
                  TaskExamples.of(n -> text(ids.get((int) n))),
                  observer,
                  Optional.empty()));
        }
      } finally {
        complete.countDown();
      }
      for (TrainingTask task : tasks) {
        task.completion().get();
      }
    }
    return laps;
  }

  /** Keeps the trainer busy with a task of next to nothing, so that all others begin at once. */
  private static void hold(Trainer trainer, CountDownLatch until) {
    trainer.submit(
        TaskSpec.builder("hold")
            .method(method(1, Set.of(Projection.Q)))
            .steps(1)
            .batchSize(1)
            .build(),
        TaskExamples.of(
            n -> {
              await(until);
              return text(List.of(0, 0));
            }),
        TrainingObserver.NONE,
        Optional.empty());
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static Example text(List<Integer> ids) {
    int[] tokens = ids.stream().mapToInt(Integer::intValue).toArray();
    return new Example.Text(tokens, tokens);
  }
}
