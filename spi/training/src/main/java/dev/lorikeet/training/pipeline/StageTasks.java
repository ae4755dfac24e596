package dev.lorikeet.training.pipeline;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.cluster.Group;
import dev.lorikeet.cluster.Packer;
import dev.lorikeet.cluster.Unpacker;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.training.learning.Learner;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.learning.LearningModule;
import dev.lorikeet.training.optimizer.Optimizer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A stage's part of every task: the adapter's modules of its layers, and their optimizer. */
final class StageTasks implements AutoCloseable {
  private final Group group;
  private final int stage;
  private final Workers workers;
  private final Map<Integer, Task> tasks = new HashMap<>();

  private record Task(LearningAdapter adapter, Optimizer optimizer) {}

  StageTasks(Group group, int stage, Workers workers) {
    this.group = group;
    this.stage = stage;
    this.workers = workers;
  }

  /** Takes a task in, without the state of its modules. */
  void join(Unpacker from) {
    int number = from.getInt();
    String name = from.getText();
    Optimizer optimizer = Optimizer.of(TaskState.optimizer(from));
    List<TargetSpec> targets = new ArrayList<>();
    for (int left = from.getInt(); left > 0; left--) {
      targets.add(TaskState.target(from));
    }
    LearningAdapter adapter = LearningAdapter.zeros(name, targets, optimizer.slots());
    tasks.put(number, new Task(adapter, optimizer));
    if (targets.isEmpty()) {
      joined(number);
    }
  }

  /** Takes the state of a module, and says when it is the last. */
  void load(Unpacker from) {
    int number = from.getInt();
    int module = from.getInt();
    LearningAdapter adapter = task(number).adapter();
    TaskState.take(from, adapter.modules().get(module));
    if (module == adapter.modules().size() - 1) {
      adapter.publish();
      joined(number);
    }
  }

  private Task task(int number) {
    return Objects.requireNonNull(tasks.get(number), "a task that is in");
  }

  /** Changes the weights of a task. */
  void step(Unpacker from) {
    Task task = task(from.getInt());
    task.adapter()
        .step(
            workers,
            task.optimizer(),
            new Learner.Step(from.getDouble(), from.getDouble(), from.getFloat(), from.getInt()));
  }

  /** Sends the state of all modules of a task to the coordinator. */
  void collect(int number) {
    List<LearningModule> modules = task(number).adapter().modules();
    for (int i = 0; i < modules.size(); i++) {
      Packer head = new Packer().put(stage).put(number).put(i);
      group.send(0, Kind.STATE.number(), TaskState.parts(head, modules.get(i)));
    }
  }

  private void joined(int number) {
    group.send(0, Kind.JOINED.number(), new Packer().put(number).segment());
  }

  /** Returns a task's adapter. */
  LearningAdapter adapter(int number) {
    return task(number).adapter();
  }

  /** Lets a task go. */
  void leave(int number) {
    Task task = tasks.remove(number);
    if (task != null) {
      task.adapter().close();
    }
  }

  @Override
  public void close() {
    tasks.values().forEach(task -> task.adapter().close());
    tasks.clear();
  }
}
