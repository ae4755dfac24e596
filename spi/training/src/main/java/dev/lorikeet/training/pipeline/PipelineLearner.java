package dev.lorikeet.training.pipeline;

import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Message;
import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.learning.LearningModule;
import dev.lorikeet.training.pipeline.StageWorker.Pass;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.task.OptimizerSpec;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Function;

/**
 * Computes on a pipeline: the coordinator's side, member 0 of a group whose other members are
 * {@link StageWorker}s. Keeps a whole copy of each task's adapter and optimizer, from which
 * checkpoints are written; it is brought up to date when it is collected.
 */
public final class PipelineLearner implements Learner {
  private final Group group;
  private final PipelinePlan plan;
  private final int[] members;
  private final Function<TargetModule, float[]> rowNorms;
  private final Map<Integer, Joined> tasks = new HashMap<>();
  private final Map<Integer, Integer> stagesLeft = new HashMap<>();
  private final Map<Integer, StageOutput.LogProbabilities> scores = new HashMap<>();
  private final Deque<Outcome> outcomes = new ArrayDeque<>();
  private final AtomicReference<Question> asked = new AtomicReference<>(new Question());
  private int scored;
  private int answers;

  /** A task, and by stage the places of its modules in the adapter. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Joined(LearningAdapter adapter, List<List<Integer>> places, double[] squares) {}

  /**
   * Tells the members of a group what their parts are, and waits until they are ready.
   *
   * @param group in which this is member 0; closed by the learner
   * @param plan the pipeline
   * @param members which members are the stages, in their order
   * @param rowNorms gives the norms of the rows of any weight of the model, to any thread
   * @throws dev.lorikeet.LorikeetException with code {@code MEMBER_LOST} if one can't open its part
   */
  public PipelineLearner(
      Group group,
      PipelinePlan plan,
      List<Integer> members,
      Function<TargetModule, float[]> rowNorms) {
    if (members.size() != plan.spans().size()) {
      throw new IllegalArgumentException(
          "pipeline: expected a member for each of "
              + plan.spans().size()
              + " stages, found "
              + members.size());
    }
    this.group = group;
    this.plan = plan;
    this.rowNorms = rowNorms;
    this.members = members.stream().mapToInt(m -> m).toArray();
    try {
      for (int s = 0; s < this.members.length; s++) {
        send(s, Kind.ASSIGN, Assignment.of(plan, s, this.members).pack());
      }
      await(this.members.length);
    } catch (RuntimeException | Error e) {
      group.close();
      throw e;
    }
  }

  /**
   * Opens a pipeline whose stages are threads of this process.
   *
   * @param opener is asked for each stage, by its thread
   * @param rowNorms gives the norms of the rows of any weight of the model, to any thread
   */
  public static PipelineLearner inThreads(
      PipelinePlan plan, StageOpener opener, Function<TargetModule, float[]> rowNorms) {
    List<String> names = new ArrayList<>(List.of("coordinator"));
    List<Integer> members = new ArrayList<>();
    for (int s = 0; s < plan.spans().size(); s++) {
      names.add("stage " + s);
      members.add(s + 1);
    }
    List<Group> groups = Group.ofThreads(names, PipelinePlan.limits());
    members.forEach(member -> StageWorker.start(groups.get(member), opener));
    return new PipelineLearner(groups.getFirst(), plan, members, rowNorms);
  }

  private void send(int stage, Kind kind, Packer body) {
    group.send(members[stage], kind.number(), body.segment());
  }

  /** Waits for so many answers to what was sent. */
  private void await(int count) {
    answers = 0;
    while (answers < count) {
      take();
    }
  }

  private void take() {
    try (Message message = group.receive()) {
      Unpacker from = new Unpacker(group.name(message.from()), message.body());
      switch (Kind.of(message.kind())) {
        case READY, JOINED -> answers++;
        case SCORED ->
            scored(
                from.getInt(),
                new StageOutput.LogProbabilities(from.getDoubles(), from.getFloats()));
        case BACK -> back(from);
        case STATE -> {
          state(from);
          answers++;
        }
        case METERED -> asked.get().answered(stageOf(message.from()), StageMeter.unpack(from));
        default ->
            throw new IllegalStateException(
                "expected a message to the coordinator, found " + Kind.of(message.kind()));
      }
    }
  }

  private int stageOf(int member) {
    for (int s = 0; s < members.length; s++) {
      if (members[s] == member) {
        return s;
      }
    }
    throw new IllegalStateException("member " + member + " is no stage");
  }

  private void scored(int number, StageOutput.LogProbabilities found) {
    if (number < 0) {
      scores.put(number, found);
    } else {
      outcomes.add(new Outcome.Scored(number, found));
    }
  }

  private void back(Unpacker from) {
    int number = from.getInt();
    int stage = from.getInt();
    for (int left = from.getInt(); left > 0; left--) {
      Joined joined = joined(from.getInt());
      double[] squares = from.getDoubles();
      List<Integer> places = joined.places().get(stage);
      for (int i = 0; i < squares.length; i++) {
        joined.squares()[places.get(i)] = squares[i];
      }
    }
    if (stagesLeft.merge(number, -1, Integer::sum) == 0) {
      stagesLeft.remove(number);
      outcomes.add(new Outcome.Through(number, Map.of()));
    }
  }

  private void state(Unpacker from) {
    int stage = from.getInt();
    Joined joined = joined(from.getInt());
    int place = joined.places().get(stage).get(from.getInt());
    TaskState.take(from, joined.adapter().modules().get(place));
  }

  private Joined joined(int task) {
    return Objects.requireNonNull(tasks.get(task), "a task that is in");
  }

  @Override
  public int maxTokens() {
    return plan.maxTokens();
  }

  @Override
  public float[] rowNorms(TargetModule module) {
    return rowNorms.apply(module);
  }

  @Override
  public Optional<Embeddings> embeddings() {
    return Optional.empty();
  }

  @Override
  public int window() {
    return plan.window();
  }

  @Override
  public boolean hasRounds() {
    return plan.schedule().hasRounds();
  }

  @Override
  public void join(int task, List<LearningAdapter> adapters, OptimizerSpec optimizer) {
    if (adapters.size() != 1) {
      throw new IllegalArgumentException(
          "pipeline: expected one adapter of a task, found " + adapters.size());
    }
    LearningAdapter adapter = adapters.getFirst();
    List<LearningModule> modules = adapter.modules();
    List<List<Integer>> places = new ArrayList<>();
    for (int s = 0; s < members.length; s++) {
      List<Integer> ofStage = new ArrayList<>();
      for (int i = 0; i < modules.size(); i++) {
        int layer = modules.get(i).spec().target().layer();
        if (layer >= plan.spans().get(s).first() && layer < plan.spans().get(s).end()) {
          ofStage.add(i);
        }
      }
      places.add(ofStage);
    }
    tasks.put(task, new Joined(adapter, places, new double[modules.size()]));
    for (int s = 0; s < members.length; s++) {
      Packer head = new Packer().put(task).put(adapter.spec().id());
      TaskState.pack(optimizer, head);
      head.put(places.get(s).size());
      places.get(s).forEach(place -> TaskState.pack(modules.get(place).spec(), head));
      send(s, Kind.JOIN, head);
      for (int i = 0; i < places.get(s).size(); i++) {
        LearningModule module = modules.get(places.get(s).get(i));
        group.send(
            members[s], Kind.LOAD.number(), TaskState.parts(new Packer().put(task).put(i), module));
      }
    }
    await(members.length);
  }

  @Override
  public void leave(int task) {
    if (tasks.remove(task) != null) {
      send(0, Kind.LEAVE, new Packer().put(task));
    }
  }

  @Override
  public void enter(int number, MicroBatch batch, Set<Integer> complete, int round) {
    List<Integer> tasksComplete = complete.stream().sorted().toList();
    send(0, Kind.FORWARD, StageWorker.forward(number, Pass.LEARN, round, tasksComplete, batch));
    stagesLeft.put(number, members.length);
  }

  @Override
  public Outcome next() {
    while (outcomes.isEmpty()) {
      take();
    }
    return outcomes.remove();
  }

  @Override
  public void goBack(int number, OutputGradient.OfLogProbabilities gradient) {
    send(
        members.length - 1,
        Kind.COEFFICIENTS,
        new Packer().put(number).put(gradient.coefficients()).put(gradient.states()));
  }

  @Override
  public StageOutput.LogProbabilities score(MicroBatch batch, boolean adapted) {
    int number = --scored;
    Pass mode = adapted ? Pass.SCORE : Pass.SCORE_BASE;
    send(0, Kind.FORWARD, StageWorker.forward(number, mode, 0, List.of(), batch));
    while (true) {
      Optional<StageOutput.LogProbabilities> found = Optional.ofNullable(scores.remove(number));
      if (found.isPresent()) {
        return found.get();
      }
      take();
    }
  }

  @Override
  public double gradientNorm(int task) {
    return LearningAdapter.norm(joined(task).squares());
  }

  @Override
  public void step(int task, Step step) {
    send(
        0,
        Kind.STEP,
        new Packer()
            .put(task)
            .put(step.rateA())
            .put(step.rateB())
            .put(step.scale())
            .put(step.number()));
  }

  @Override
  public void collect(int task) {
    Joined joined = joined(task);
    send(0, Kind.COLLECT, new Packer().put(task));
    await(joined.adapter().modules().size());
    joined.adapter().publish();
  }

  /**
   * Asks what each stage did since it was asked the last time. Any thread may; one question at a
   * time. The answer comes while something is under way.
   *
   * @return the meters by stage
   */
  public CompletableFuture<List<StageMeter>> meters() {
    Question question = new Question();
    asked.set(question);
    for (int s = 0; s < members.length; s++) {
      send(s, Kind.METER, new Packer());
    }
    return question.answer;
  }

  /** What stages have answered of a question. */
  private final class Question {
    private final Map<Integer, StageMeter> meters = new TreeMap<>();
    private final CompletableFuture<List<StageMeter>> answer = new CompletableFuture<>();

    void answered(int stage, StageMeter meter) {
      meters.put(stage, meter);
      if (meters.size() == members.length) {
        answer.complete(List.copyOf(meters.values()));
      }
    }
  }

  @Override
  public void close() {
    group.close();
  }
}
