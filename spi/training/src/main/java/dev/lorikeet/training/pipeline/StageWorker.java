package dev.lorikeet.training.pipeline;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Message;
import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.pipeline.PipelineSchedule.Standing;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import dev.lorikeet.training.stage.TrainingStage;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * One stage of a pipeline at work: a span of layers, and its part of every task's adapter and
 * optimizer. Computes what comes to it until the group ends.
 */
public final class StageWorker {
  /*
   * Idea. One thread: it takes all messages that are there, and then does what the schedule says, or waits. Hidden
   * states go to the next stage, gradients to the one before, log-probabilities and the squares of complete gradients
   * to the coordinator. What concerns a task (its step, its end, the wish for its state) goes through the stages like a
   * micro-batch, so it comes to each stage behind what was sent before it and in front of what was sent after; it is
   * done as soon as it comes, since none of the task's micro-batches are under way then.
   *
   * Sums of gradients are added up in the order in which micro-batches go back, which is that in which they came, under
   * every schedule: so results are the same bits as on one stage.
   */
  private static final System.Logger LOG = System.getLogger(StageWorker.class.getName());
  private static final int ALIGNMENT = 64;

  private final Group group;
  private final Assignment mine;
  private final TrainingStage stage;
  private final Retention retention;
  private final StageTasks tasks;
  private final Map<Integer, Underway> underway = new HashMap<>();
  private final Deque<Arrived> scores = new ArrayDeque<>();
  private final Deque<Arrived> forwards = new ArrayDeque<>();
  private final Deque<Message> backwards = new ArrayDeque<>();
  private final Deque<LoraBatch> batches = new ArrayDeque<>();
  private final StageClock meter = new StageClock();
  private int round;
  private int forwardsDone;
  private int backwardsDone;

  /** A micro-batch that has come to go forward. */
  private record Arrived(
      int number,
      Pass mode,
      List<Integer> complete,
      MicroBatch batch,
      Unpacker hidden,
      Message message) {}

  /** One that has gone forward and is to go back. */
  private record Underway(List<Integer> complete, LoraBatch lora, TrainingPass pass) {}

  private StageWorker(Group group, Assignment mine, TrainingStage stage) {
    this.group = group;
    this.mine = mine;
    this.stage = stage;
    this.tasks = new StageTasks(group, mine.stage(), stage.workers());
    this.retention =
        Retention.within(stage, mine.maxTokens(), mine.window(), mine.activationBytes());
  }

  /**
   * Works as a stage of the pipeline that member 0 of the group coordinates, until the group ends.
   *
   * @throws LorikeetException if another member is lost, or this one can't go on, of which the
   *     others are told
   */
  public static void work(Group group, StageOpener opener) {
    String title = "stage";
    try (Message first = group.receive()) {
      Assignment mine = Assignment.unpack(new Unpacker(group.name(0), first.body()));
      title = mine.title();
      StageOpener.Opened opened = opener.open(mine);
      try (AutoCloseable owned = opened.owned()) {
        Objects.requireNonNull(owned, "owned");
        StageWorker worker = new StageWorker(group, mine, opened.stage());
        worker.send(Kind.READY, new Packer());
        try {
          worker.work();
        } finally {
          worker.drop();
        }
      }
    } catch (LorikeetException e) {
      if (e.code() != Code.CLOSED) {
        group.fail(title + ": " + e.getMessage());
        throw e;
      }
    } catch (Exception e) {
      group.fail(title + ": " + e);
      throw new LorikeetException(Code.INTERNAL, title + ": " + e, e);
    } catch (Error e) {
      group.fail(title + ": " + e);
      throw e;
    } finally {
      group.close();
    }
  }

  /** Works in a thread of its own. Failures are told to the group. */
  static Thread start(Group group, StageOpener opener) {
    return Thread.ofPlatform()
        .daemon()
        .name("lorikeet-" + group.name(group.self()).replace(' ', '-'))
        .start(
            () -> {
              try {
                work(group, opener);
              } catch (LorikeetException e) {
                LOG.log(Level.DEBUG, "a stage has ended", e);
              }
            });
  }

  private void drop() {
    underway.values().forEach(u -> u.pass().close());
    tasks.close();
  }

  private void work() {
    while (true) {
      for (Optional<Message> m = group.poll(); m.isPresent(); m = group.poll()) {
        take(m.get());
      }
      if (!scores.isEmpty()) {
        forward(scores.remove());
        continue;
      }
      Standing standing =
          new Standing(
              mine.stage(),
              mine.stages(),
              round,
              forwardsDone,
              backwardsDone,
              !forwards.isEmpty(),
              !backwards.isEmpty());
      switch (mine.schedule().next(standing)) {
        case FORWARD -> {
          forwardsDone++;
          forward(forwards.remove());
        }
        case BACKWARD -> {
          backwardsDone++;
          backward(backwards.remove());
        }
        case WAIT -> {
          long begin = System.nanoTime();
          Message message = group.receive();
          meter.waited += System.nanoTime() - begin;
          take(message);
        }
      }
    }
  }

  private void take(Message message) {
    Kind kind = Kind.of(message.kind());
    Unpacker body = new Unpacker(group.name(message.from()), message.body());
    switch (kind) {
      case FORWARD -> arrived(message, body);
      case BACKWARD, COEFFICIENTS -> backwards.add(message);
      default -> {
        try (message) {
          command(kind, body, message);
        }
      }
    }
  }

  private void command(Kind kind, Unpacker body, Message message) {
    switch (kind) {
      case JOIN -> tasks.join(body);
      case LOAD -> tasks.load(body);
      case STEP -> {
        long begin = System.nanoTime();
        tasks.step(body);
        meter.step += System.nanoTime() - begin;
        meter.steps++;
        pass(message);
      }
      case COLLECT -> {
        tasks.collect(body.getInt());
        pass(message);
      }
      case LEAVE -> {
        tasks.leave(body.getInt());
        pass(message);
      }
      case METER -> send(Kind.METERED, meter.read().pack());
      default -> throw new IllegalStateException("expected a message to a stage, found " + kind);
    }
  }

  private void send(Kind kind, Packer body) {
    group.send(0, kind.number(), body.segment());
  }

  private boolean isLast() {
    return mine.stage() == mine.stages() - 1;
  }

  /** Passes a message on as it is. */
  private void pass(Message message) {
    if (!isLast()) {
      group.send(mine.members()[mine.stage() + 1], message.kind(), message.body());
    }
  }

  private void arrived(Message message, Unpacker from) {
    int number = from.getInt();
    Pass mode = Pass.valueOf(from.getText());
    int ofRound = from.getInt();
    List<Integer> complete = Arrays.stream(from.getInts()).boxed().toList();
    MicroBatch batch = TaskState.microBatch(from);
    Arrived arrived = new Arrived(number, mode, complete, batch, from, message);
    if (mode != Pass.LEARN) {
      scores.add(arrived);
      return;
    }
    if (forwardsDone == round && backwardsDone == round) {
      round = ofRound;
      forwardsDone = 0;
      backwardsDone = 0;
    }
    forwards.add(arrived);
  }

  private void forward(Arrived arrived) {
    long begin = System.nanoTime();
    MicroBatch batch = arrived.batch();
    LoraBatch lora = batches.isEmpty() ? new LoraBatch() : batches.pop();
    batch.fill(
        lora,
        task ->
            arrived.mode() == Pass.SCORE_BASE
                ? Optional.empty()
                : Optional.of(tasks.adapter(task)));
    boolean learns = arrived.mode() == Pass.LEARN;
    TrainingPass pass;
    try (Message message = arrived.message()) {
      Objects.requireNonNull(message, "message");
      Optional<Tensor> input =
          mine.stage() == 0
              ? Optional.empty()
              : Optional.of(tensor(arrived.hidden(), batch.tokens()));
      pass = stage.forward(batch, lora, input, learns ? retention : Retention.NOTHING);
    }
    try {
      switch (pass.output()) {
        case StageOutput.Hidden(Tensor states) ->
            group.send(
                mine.members()[mine.stage() + 1],
                Kind.FORWARD.number(),
                head(
                    states,
                    forward(arrived.number(), arrived.mode(), round, arrived.complete(), batch)),
                rows(states));
        case StageOutput.LogProbabilities(double[] values, float[] states) ->
            send(Kind.SCORED, new Packer().put(arrived.number()).put(values).put(states));
      }
    } catch (RuntimeException | Error e) {
      pass.close();
      throw e;
    }
    if (learns) {
      underway.put(arrived.number(), new Underway(arrived.complete(), lora, pass));
      meter.forward += System.nanoTime() - begin;
      meter.forwards++;
    } else {
      pass.close();
      batches.push(lora);
    }
  }

  /** Returns the head of a micro-batch. */
  static Packer forward(
      int number, Pass mode, int round, List<Integer> complete, MicroBatch batch) {
    Packer head =
        new Packer()
            .put(number)
            .put(mode.name())
            .put(round)
            .put(complete.stream().mapToInt(task -> task).toArray());
    TaskState.pack(batch, head);
    return head;
  }

  private static MemorySegment head(Tensor rows, Packer head) {
    return head.put(rows.columns()).put(rows.rowStrideBytes()).align(ALIGNMENT).segment();
  }

  private static MemorySegment rows(Tensor tensor) {
    return tensor.segment().asSlice(0, tensor.rows() * tensor.rowStrideBytes());
  }

  /** Returns rows where they lie in a message. */
  private static Tensor tensor(Unpacker from, int tokens) {
    long columns = from.getLong();
    long stride = from.getLong();
    MemorySegment rows = from.align(ALIGNMENT).rest();
    return new Tensor(rows, ElementType.F32, tokens, columns, stride / Float.BYTES, Device.HOST);
  }

  private void backward(Message message) {
    long begin = System.nanoTime();
    Unpacker from = new Unpacker(group.name(message.from()), message.body());
    int number;
    Underway gone;
    Optional<Tensor> below;
    try (message) {
      number = from.getInt();
      gone = Objects.requireNonNull(underway.remove(number), "a micro-batch that went forward");
      TrainingPass pass = gone.pass();
      try (pass) {
        below =
            stage.backward(
                pass,
                isLast()
                    ? new OutputGradient.OfLogProbabilities(from.getFloats(), from.getFloats())
                    : new OutputGradient.OfHidden(tensor(from, pass.batch().tokens())),
                LearningAdapter.gradients());
        if (below.isPresent()) {
          group.send(
              mine.members()[mine.stage() - 1],
              Kind.BACKWARD.number(),
              head(below.get(), new Packer().put(number)),
              rows(below.get()));
        }
      }
    }
    batches.push(gone.lora());
    Packer back = new Packer().put(number).put(mine.stage()).put(gone.complete().size());
    for (int task : gone.complete()) {
      back.put(task).put(tasks.adapter(task).squares(stage.workers()));
    }
    send(Kind.BACK, back);
    meter.backward += System.nanoTime() - begin;
    meter.backwards++;
  }

  /** What a micro-batch goes through the stages for. */
  enum Pass {
    /** Forward and back. */
    LEARN,
    /** Forward alone. */
    SCORE,
    /** Forward alone, without adapters. */
    SCORE_BASE
  }
}
