package dev.lorikeet.training.task;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.training.data.Overlong;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Tasks that a file lists, in YAML, or in JSON if its name ends in {@code .json}: a map of {@code
 * tasks}, a list of maps, and {@code defaults}, which hold for every task that does not say
 * otherwise. Keys have the names that PEFT, transformers and TRL give them:
 *
 * <pre>{@code
 * defaults:
 *   r: 16
 *   lora_alpha: 32
 *   learning_rate: 2e-4
 *   num_train_epochs: 3
 * tasks:
 *   - name: scripture
 *     data: scripture.jsonl
 *     validation: 0.05
 *   - name: polite
 *     data: pairs.jsonl
 *     objective: dpo
 *     beta: 0.1
 * }</pre>
 *
 * <p>The module's README lists all keys. Paths are relative to the file's folder.
 */
public final class TaskFile {
  private static final long MAX_BYTES = 1 << 20;
  private static final int MAX_TASKS = 10_000;

  private TaskFile() {}

  /** What a task is judged by while it learns. */
  public sealed interface Validation {
    /** Nothing. */
    record None() implements Validation {}

    /**
     * Examples of a file.
     *
     * @param file is absolute
     */
    record File(Path file) implements Validation {}

    /**
     * A part of the task's examples, which it does not learn from.
     *
     * @param fraction above 0 and below 1
     */
    record Fraction(double fraction) implements Validation {
      public Fraction {
        Ranges.above("validation", fraction, 0);
        Ranges.below("validation", fraction, 1);
      }
    }
  }

  /**
   * One task.
   *
   * @param spec all but the examples; with {@code epochs}, its steps are those of one example (see
   *     {@link #spec(int)})
   * @param epochs how often each example is taken, above 0, where that says how many steps there
   *     are
   * @param data the file of examples; absolute
   * @param validation what it is judged by
   * @param maxLength how many tokens a sequence may have, if less than the model allows
   * @param overlong what becomes of longer examples
   */
  public record Entry(
      TaskSpec spec,
      OptionalDouble epochs,
      Path data,
      Validation validation,
      OptionalInt maxLength,
      Overlong overlong) {
    public Entry {
      Objects.requireNonNull(data, "data");
      epochs.ifPresent(e -> Ranges.above("epochs", e, 0));
    }

    /** Returns a task with as many steps as it says, that is judged by nothing. */
    public static Entry of(TaskSpec spec, Path data) {
      return new Entry(
          spec,
          OptionalDouble.empty(),
          data.toAbsolutePath(),
          new Validation.None(),
          OptionalInt.empty(),
          Overlong.REFUSE);
    }

    /**
     * Returns the task with as many steps as its examples need: where epochs are given, examples
     * times epochs divided by those of a step, rounded up.
     *
     * @param examples how many it learns from, those held back for validation not counted
     * @throws LorikeetException with {@code INVALID_CONFIG} if there are too many steps to count
     */
    public TaskSpec spec(int examples) {
      Ranges.atLeast("examples", examples, 1);
      if (epochs.isEmpty()) {
        return spec;
      }
      double steps = Math.ceil(epochs.getAsDouble() * examples / spec.examplesPerStep());
      if (steps > Integer.MAX_VALUE) {
        throw Faults.CONFIG.invalid(
            "task '" + spec.name() + "': num_train_epochs",
            "at most " + Integer.MAX_VALUE + " steps",
            steps);
      }
      return spec.withSteps((int) steps);
    }
  }

  /**
   * Reads a file.
   *
   * @return at least one task; no two names, those of experts among them, differ only in case
   * @throws LorikeetException with {@code INVALID_CONFIG} that names file and key, or line, if the
   *     file is none of these, has unknown keys or values that are not what they must be
   */
  public static List<Entry> read(Path file) {
    Path whole = file.toAbsolutePath().normalize();
    JsonFile root = parse(file);
    root.checkKeys(Set.of("defaults", "tasks"));
    JsonFile defaults =
        root.object("defaults")
            .orElseGet(() -> JsonFile.of(Faults.CONFIG, root.where("defaults"), empty()));
    defaults.checkKeys(TaskReader.KEYS_OF_DEFAULTS);
    List<Entry> entries = new ArrayList<>();
    Set<String> names = new HashSet<>();
    for (JsonFile task : root.objects("tasks", MAX_TASKS)) {
      task.checkKeys(TaskReader.KEYS);
      Entry entry =
          new TaskReader(new Settings(task, defaults), Objects.requireNonNull(whole.getParent()))
              .read();
      for (String name : names(entry.spec())) {
        if (!names.add(name.toLowerCase(Locale.ROOT))) {
          throw Faults.CONFIG.invalid(task.where("name"), "a name that no other task has", name);
        }
      }
      entries.add(entry);
    }
    if (entries.isEmpty()) {
      throw root.missing("tasks", "at least one task");
    }
    return List.copyOf(entries);
  }

  /** Returns the names of a task and of what it learns, each once. */
  private static Set<String> names(TaskSpec spec) {
    Set<String> names = new LinkedHashSet<>(List.of(spec.name()));
    names.addAll(spec.adapters());
    return names;
  }

  private static ObjectNode empty() {
    return JsonNodeFactory.instance.objectNode();
  }

  private static JsonFile parse(Path file) {
    ByteBuffer bytes = UntrustedFile.read(Faults.CONFIG, file, MAX_BYTES);
    String source = file.toString();
    if (source.endsWith(".json")) {
      return JsonFile.parse(Faults.CONFIG, source, bytes);
    }
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      return JsonFile.of(Faults.CONFIG, source, yaml(source, text));
    } catch (CharacterCodingException e) {
      throw Faults.CONFIG.invalid(file, "UTF-8", "a malformed sequence of bytes", e);
    }
  }

  private static ObjectNode yaml(String source, String text) {
    try {
      return YamlText.read(source, text);
    } catch (NoClassDefFoundError e) {
      throw Faults.CONFIG.invalid(
          source, "org.yaml:snakeyaml on the class path, or a file in JSON", "neither", e);
    }
  }
}
