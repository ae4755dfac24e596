package dev.lorikeet.training.trainer;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.gate.GateForm;
import dev.lorikeet.files.gate.GateWriter;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.files.peft.PeftWriter;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.learning.LearningAdapter;
import dev.lorikeet.training.learning.LearningGate;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What a task writes: checkpoints, adapters to be served on the way, and the adapter in the end.
 * Nothing, if only the observer is to know how it goes.
 */
final class TaskFiles {
  private static final Pattern PUBLISHED = Pattern.compile("adapter-[0-9]{9}");

  private final Optional<TaskOutput> output;
  private final TaskSpec spec;
  private final ModelShape shape;
  private final TrainingObserver observer;

  /**
   * Begins.
   *
   * @throws LorikeetException if there is something where the adapter is to go
   */
  TaskFiles(
      Optional<TaskOutput> output, TaskSpec spec, ModelShape shape, TrainingObserver observer) {
    this.output = output;
    this.spec = spec;
    this.shape = shape;
    this.observer = observer;
    if (output.isPresent() && Files.exists(output.get().adapter())) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          output.get().adapter() + ": expected nothing where the adapter is to go, found a file");
    }
  }

  /** Brings a task to its last checkpoint; returns how many steps were made. */
  int resume(TaskWeights learned, BestWeights best) throws IOException {
    return output.isPresent()
        ? Checkpoint.resume(output.get().checkpoints(), spec, learned, best)
        : 0;
  }

  /** Saves and publishes what is due after a step. */
  void stepped(int made, TaskWeights learned, BestWeights best) throws IOException {
    if (output.isEmpty()) {
      return;
    }
    if (isDue(spec.checkpointEvery(), made)) {
      Path saved = Checkpoint.write(output.get().checkpoints(), spec, learned, best, made);
      observer.saved(made, saved);
    }
    if (isDue(spec.publishEvery(), made)) {
      Path folder = Files.createDirectories(output.get().checkpoints());
      Path whole = folder.resolve("adapter-%09d".formatted(made));
      remove(whole); // of a run that was interrupted behind its last checkpoint
      write(whole, learned);
      observer.published(made, whole);
      for (Path published : published(folder)) {
        if (!published.equals(whole)) {
          remove(published);
        }
      }
    }
  }

  /** Returns whether something is written after a step. */
  boolean isDue(int made) {
    return output.isPresent()
        && (isDue(spec.checkpointEvery(), made) || isDue(spec.publishEvery(), made));
  }

  private static boolean isDue(int every, int made) {
    return every > 0 && made % every == 0;
  }

  /** Writes the adapter in the end, publishes it, and removes all that was on the way. */
  void finish(int made, TaskWeights learned) throws IOException {
    if (output.isEmpty()) {
      return;
    }
    write(output.get().adapter(), learned);
    observer.published(made, output.get().adapter());
    Path folder = output.get().checkpoints();
    Checkpoint.removeAll(folder);
    for (Path published : published(folder)) {
      remove(published);
    }
    Files.deleteIfExists(folder);
  }

  private void write(Path directory, TaskWeights learned) throws IOException {
    if (learned.gate().isEmpty()) {
      writeAdapter(directory, learned.adapters().getFirst());
      return;
    }
    LearningGate gate = learned.gate().get();
    Path parent = Objects.requireNonNull(directory.toAbsolutePath().getParent());
    try (Workplace work = Workplace.in(parent)) {
      Path whole = Files.createDirectory(work.path("mixture"));
      for (LearningAdapter expert : learned.adapters()) {
        writeAdapter(whole.resolve(expert.spec().id()), expert);
      }
      Mixture mixture = spec.mixture().orElseThrow();
      Experts experts = new Experts(spec.adapters(), mixture.topK());
      GateWriter.write(
          whole,
          new GateForm(false, experts, mixture.context(), shape.hidden(), 0),
          List.of(gate.parameters()),
          Map.of("targets", "experts and gate together"));
      Files.move(whole, directory, StandardCopyOption.ATOMIC_MOVE);
      WholeFile.sync(parent);
    }
  }

  private void writeAdapter(Path directory, LearningAdapter adapter) throws IOException {
    new PeftWriter(shape, output.orElseThrow().baseModel())
        .write(directory, StoredWeights.of(adapter, spec.storedType()));
  }

  private static List<Path> published(Path folder) throws IOException {
    List<Path> found = new ArrayList<>();
    if (Files.isDirectory(folder)) {
      try (DirectoryStream<Path> paths = Files.newDirectoryStream(folder)) {
        for (Path path : paths) {
          if (PUBLISHED.matcher(path.getFileName().toString()).matches()) {
            found.add(path);
          }
        }
      }
    }
    return found;
  }

  /** Removes an adapter, or those of a mixture with their gate. */
  private void remove(Path published) throws IOException {
    if (!Files.isDirectory(published)) {
      return;
    }
    if (spec.mixture().isPresent()) {
      for (String expert : spec.adapters()) {
        removeAdapter(published.resolve(expert));
      }
      Files.deleteIfExists(published.resolve(GateWriter.JSON));
      Files.deleteIfExists(published.resolve(GateWriter.WEIGHTS));
    }
    removeAdapter(published);
  }

  private static void removeAdapter(Path adapter) throws IOException {
    for (String name : List.of(PeftAdapterFile.CONFIG, PeftAdapterFile.WEIGHTS)) {
      Files.deleteIfExists(adapter.resolve(name));
    }
    Files.deleteIfExists(adapter);
  }
}
