package dev.lorikeet.training.trainer;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.training.task.TaskSpec;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.BiConsumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The state of a task on disk: weights and the optimizer's memory bit for bit, and how many steps
 * are made. A folder {@code step-N} that is whole or not there; a newer one replaces older ones, so
 * that a process that is killed leaves at least one.
 */
final class Checkpoint {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String STATE = "state.safetensors";
  private static final String PROGRESS = "progress.json";
  private static final int MAX_PROGRESS = 1 << 20;
  private static final Pattern STEP = Pattern.compile("step-([0-9]{9})");

  private Checkpoint() {}

  /** Writes the state after {@code step} steps, and removes older ones. */
  static Path write(Path folder, TaskSpec spec, TaskWeights learned, BestWeights best, int step)
      throws IOException {
    Files.createDirectories(folder);
    Path whole = folder.resolve("step-%09d".formatted(step));
    try (Workplace work = Workplace.in(folder)) {
      Path unfinished = Files.createDirectory(work.path("step"));
      SafetensorsWriter tensors = new SafetensorsWriter();
      learned.each(
          (name, factor) -> {
            List<Long> shape = List.of((long) factor.rows(), (long) factor.columns());
            tensors.add(name, StoredType.F32, shape, out -> out.write(factor.values()));
            if (factor.state().byteSize() > 0) {
              long slots = factor.state().byteSize() / factor.values().byteSize();
              tensors.add(
                  name + ".state",
                  StoredType.F32,
                  List.of(slots, (long) factor.rows(), (long) factor.columns()),
                  out -> out.write(factor.state()));
            }
          });
      if (best.loss().isPresent()) {
        eachBest(
            learned,
            best,
            (name, copy) ->
                tensors.add(
                    name,
                    StoredType.F32,
                    List.of(copy.byteSize() / Float.BYTES),
                    out -> out.write(copy)));
      }
      WholeFile.writeNew(unfinished.resolve(STATE), tensors::writeTo);
      ObjectNode progress = JSON.createObjectNode();
      progress.put("step", step);
      if (best.loss().isPresent()) {
        progress.put("best_loss", best.loss().getAsDouble());
        progress.put("misses", best.misses());
      }
      progress.put("settings", settings(spec));
      byte[] bytes = JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(progress);
      WholeFile.writeNew(unfinished.resolve(PROGRESS), channel -> WholeFile.fill(channel, bytes));
      WholeFile.sync(unfinished);
      Files.move(unfinished, whole, StandardCopyOption.ATOMIC_MOVE);
      WholeFile.sync(folder);
    }
    for (Found found : all(folder)) {
      if (found.step() < step) {
        remove(found.path());
      }
    }
    return whole;
  }

  /**
   * Brings weights to the state of the last checkpoint.
   *
   * @return how many steps were made; 0 if there is no checkpoint
   * @throws LorikeetException if the checkpoint is damaged, or of a task with other settings
   */
  static int resume(Path folder, TaskSpec spec, TaskWeights learned, BestWeights best)
      throws IOException {
    Optional<Found> last = all(folder).stream().max((x, y) -> Integer.compare(x.step(), y.step()));
    if (last.isEmpty()) {
      return 0;
    }
    Path path = last.get().path();
    JsonFile progress = JsonFile.read(path.resolve(PROGRESS), MAX_PROGRESS);
    int step = progress.integer("step", 1, spec.steps());
    String found = progress.text("settings").orElse("");
    if (!found.equals(settings(spec)) || step != last.get().step()) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          path
              + ": expected the state of a task with the settings "
              + settings(spec)
              + ", found one with "
              + found
              + "; remove the folder to begin anew");
    }
    try (Arena arena = Arena.ofConfined()) {
      Map<String, StoredTensor> tensors = new HashMap<>();
      Path state = path.resolve(STATE);
      SafetensorsFile.map(state, arena).forEach(tensor -> tensors.put(tensor.name(), tensor));
      learned.each(
          (name, factor) -> {
            List<Long> shape = List.of((long) factor.rows(), (long) factor.columns());
            factor.values().copyFrom(take(state, tensors, name, shape).bytes());
            if (factor.state().byteSize() > 0) {
              long slots = factor.state().byteSize() / factor.values().byteSize();
              List<Long> stateShape = List.of(slots, (long) factor.rows(), (long) factor.columns());
              factor.state().copyFrom(take(state, tensors, name + ".state", stateShape).bytes());
            }
          });
      OptionalDouble loss =
          progress.optionalNumber("best_loss", -Double.MAX_VALUE, Double.MAX_VALUE);
      if (loss.isPresent()) {
        best.resume(loss.getAsDouble(), progress.integer("misses", 0, Integer.MAX_VALUE));
        eachBest(
            learned,
            best,
            (name, copy) -> {
              List<Long> shape = List.of(copy.byteSize() / Float.BYTES);
              copy.copyFrom(take(state, tensors, name, shape).bytes());
            });
      }
    }
    learned.publish();
    return step;
  }

  private static StoredTensor take(
      Path file, Map<String, StoredTensor> tensors, String name, List<Long> shape) {
    StoredTensor tensor = tensors.get(name);
    if (tensor == null || tensor.type() != StoredType.F32 || !tensor.shape().equals(shape)) {
      throw new LorikeetException(
          Code.INVALID_CONFIG,
          file
              + ": expected a tensor "
              + name
              + " F32"
              + shape
              + ", found "
              + (tensor == null ? "none" : tensor.form()));
    }
    return tensor;
  }

  private static void eachBest(
      TaskWeights learned, BestWeights best, BiConsumer<String, MemorySegment> action) {
    Iterator<MemorySegment> copies = best.copies().iterator();
    learned.each(
        (name, factor) -> {
          if (copies.hasNext()) {
            action.accept(name + ".best", copies.next());
          }
        });
  }

  /** What changes the weights of a task; where it goes and how urgent it is do not. */
  private static String settings(TaskSpec s) {
    String mixture = s.mixture().map(m -> "; " + m).orElse("");
    return String.join(
            "; ",
            s.objective().toString(),
            s.start().isPresent()
                ? "start " + s.start().get().getFileName()
                : s.method().toString(),
            s.optimizer().toString(),
            "learning rate " + s.learningRate(),
            "LoRA+ " + s.loraPlusRatio(),
            s.schedule().toString(),
            "clip " + s.maxGradNorm(),
            "steps " + s.steps(),
            "batch " + s.batchSize() + " x " + s.accumulate(),
            "dropout " + s.dropout(),
            "seed " + s.seed(),
            "shuffle " + s.shuffle(),
            "validate every " + s.validateEvery(),
            "patience " + s.patience(),
            "best " + s.keepBest())
        + mixture;
  }

  private record Found(int step, Path path) {}

  private static List<Found> all(Path folder) throws IOException {
    if (!Files.isDirectory(folder)) {
      return List.of();
    }
    List<Found> found = new ArrayList<>();
    try (DirectoryStream<Path> paths = Files.newDirectoryStream(folder, "step-*")) {
      for (Path path : paths) {
        Matcher matcher = STEP.matcher(path.getFileName().toString());
        if (matcher.matches()) {
          found.add(new Found(Integer.parseInt(matcher.group(1)), path));
        }
      }
    }
    return found;
  }

  /** Removes all checkpoints in a folder. */
  static void removeAll(Path folder) throws IOException {
    for (Found found : all(folder)) {
      remove(found.path());
    }
  }

  private static void remove(Path checkpoint) throws IOException {
    Files.deleteIfExists(checkpoint.resolve(PROGRESS));
    Files.deleteIfExists(checkpoint.resolve(STATE));
    Files.deleteIfExists(checkpoint);
  }
}
