package dev.lorikeet.training.task;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.training.data.Overlong;
import dev.lorikeet.training.task.TaskFile.Entry;
import dev.lorikeet.training.task.TaskFile.Validation;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TaskFileTest {
  @TempDir Path folder;

  private Path write(String name, String text) {
    try {
      return Files.writeString(folder.resolve(name), text);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private List<Entry> read(String yaml) {
    return TaskFile.read(write("tasks.yaml", yaml));
  }

  /** Reads one task of a name and a file, with more keys. */
  private Entry task(String... lines) {
    return read(only(lines)).getFirst();
  }

  private static String only(String... lines) {
    return "tasks:\n  - name: a\n    data: a.jsonl\n    " + String.join("\n    ", lines) + "\n";
  }

  private String refused(String yaml, String... words) {
    return refused(write("tasks.yaml", yaml), words);
  }

  private static String refused(Path file, String... words) {
    LorikeetException e = assertThrows(LorikeetException.class, () -> TaskFile.read(file));
    assertEquals(LorikeetException.Code.INVALID_CONFIG, e.code(), e::getMessage);
    for (String word : words) {
      assertTrue(e.getMessage().contains(word), () -> word + " is not in: " + e.getMessage());
    }
    return e.getMessage();
  }

  private void refusedTask(String line, String... words) {
    refused(only(line), words);
  }

  @Test
  void aTaskOfNameAndDataHasTheDefaultsOfTheSpecification() {
    Entry entry = task();
    assertEquals(TaskSpec.builder("a").build(), entry.spec());
    assertEquals(folder.resolve("a.jsonl"), entry.data());
    assertEquals(new Validation.None(), entry.validation());
    assertEquals(OptionalInt.empty(), entry.maxLength());
    assertEquals(OptionalDouble.empty(), entry.epochs());
    assertEquals(Overlong.REFUSE, entry.overlong());
  }

  @Test
  void everyKeyIsRead() {
    Entry entry =
        task(
            "validation: held/out.jsonl",
            "method: [rslora, lora+, block-diagonal]",
            "loraplus_lr_ratio: 8",
            "r: 4",
            "lora_alpha: 12.5",
            "target_modules: [q_proj, down_proj]",
            "rank_pattern: {q_proj: 8}",
            "alpha_pattern: {down_proj: 1}",
            "nblocks: 2",
            "optimizer: adamw",
            "learning_rate: 1e-4",
            "weight_decay: 0.01",
            "adam_beta1: .8",
            "adam_beta2: 0.99",
            "adam_epsilon: 1E-7",
            "lr_scheduler_type: cosine",
            "warmup_steps: 7",
            "max_grad_norm: 1.0",
            "max_steps: 50",
            "batch_size: 3",
            "gradient_accumulation_steps: 2",
            "seed: -5",
            "shuffle: false",
            "dtype: bfloat16",
            "priority: -1",
            "checkpoint_every: 10",
            "validate_every: 5",
            "objective: cpo",
            "beta: 0.2",
            "cpo_alpha: 0",
            "max_length: 256",
            "overlong: leave-out");
    TaskSpec expected =
        TaskSpec.builder("a")
            .method(
                new LoraMethod(
                    4,
                    12.5,
                    true,
                    Set.of(Projection.Q, Projection.DOWN),
                    Map.of(Projection.Q, 8),
                    Map.of(Projection.DOWN, 1.0),
                    2,
                    false))
            .loraPlusRatio(8)
            .optimizer(new OptimizerSpec.AdamW(0.8, 0.99, 1e-7, 0.01))
            .learningRate(1e-4)
            .schedule(new Schedule(Schedule.Shape.COSINE, 7))
            .maxGradNorm(1)
            .steps(50)
            .batchSize(3)
            .accumulate(2)
            .seed(-5)
            .shuffle(false)
            .storedType(ElementType.BF16)
            .priority(-1)
            .checkpointEvery(10)
            .validateEvery(5)
            .objective(new Objective.Cpo(0.2, 0))
            .build();
    assertEquals(expected, entry.spec());
    assertEquals(new Validation.File(folder.resolve("held/out.jsonl")), entry.validation());
    assertEquals(OptionalInt.of(256), entry.maxLength());
    assertEquals(Overlong.LEAVE_OUT, entry.overlong());
  }

  @Test
  void aMixtureHasExpertsAndAGate() {
    TaskSpec plain = task("method: mixture").spec();
    assertEquals(Optional.of(Mixture.DEFAULT), plain.mixture());
    assertEquals(List.of("a-1", "a-2", "a-3", "a-4"), plain.adapters());
    TaskSpec spec =
        task(
                "method: [mixture, rslora]",
                "r: 4",
                "experts: 3",
                "top_k: 3",
                "load_balancing: 0",
                "gate_learning_rate: 1e-3",
                "gate_context: mean-embedding",
                "gate_decay: 0.5")
            .spec();
    assertEquals(
        Optional.of(
            new Mixture(3, 3, 0, OptionalDouble.of(1e-3), new RunningContext.MeanEmbedding(0.5f))),
        spec.mixture());
    assertTrue(spec.method().rsLora());
    assertEquals(Optional.empty(), task().spec().mixture());
    assertEquals(List.of("a"), task().spec().adapters());
  }

  @Test
  void whatAMixtureCannotBeIsRefused() {
    refusedTask("experts: 3", "experts", "the method is not mixture");
    refused(only("method: mixture", "experts: 1"), "experts", "found 1");
    refused(only("method: mixture", "top_k: 1"), "top_k", "found 1");
    refused(only("method: mixture", "experts: 3", "top_k: 4"), "top_k", "found 4");
    refused(only("method: mixture", "load_balancing: -1"), "load_balancing", "found -1");
    refused(only("method: mixture", "gate_decay: 0.5"), "gate_decay", "no mean of embeddings");
    refused(
        only("method: mixture", "gate_context: mean-embedding", "gate_decay: 1"),
        "gate_decay",
        "found 1");
    refused(only("method: mixture", "gate_context: last-hidden"), "gate_context", "last-hidden");
    refused(
        """
        tasks:
          - {name: a, data: a.jsonl, method: mixture}
          - {name: A-2, data: a.jsonl}
        """,
        "tasks[1]: name",
        "found A-2");
    refused(only("method: [mixture, dora]"), "mixture", "found dora");
    refused(only("method: mixture", "objective: dpo"), "mixture", "next-token");
    refused(only("method: mixture", "start: other"), "mixture", "other");
  }

  @Test
  void contrastiveInstructionTuningHasATemperatureAndAWeight() {
    assertEquals(Objective.Contrastive.DEFAULT, task("objective: cit").spec().objective());
    assertEquals(
        new Objective.Contrastive(0.05, 0.5),
        task("objective: cit", "temperature: 0.05", "contrastive_weight: 0.5").spec().objective());
    refused(only("objective: cit", "temperature: 0"), "temperature", "found 0");
    refused(only("objective: cit", "contrastive_weight: -1"), "contrastive_weight", "found -1");
    refused(only("objective: cit", "beta: 0.1"), "beta", "the objective is cit");
    refusedTask("temperature: 1", "temperature", "the objective is not cit");
  }

  @Test
  void keysHaveTheNamesOfTransformersToo() {
    Entry entry =
        task(
            "per_device_train_batch_size: 2",
            "save_steps: 3",
            "eval_steps: 4",
            "optim: adamw_torch",
            "loss_type: dpo",
            "max_grad_norm: 0",
            "lr_scheduler_type: constant_with_warmup");
    assertEquals(2, entry.spec().batchSize());
    assertEquals(3, entry.spec().checkpointEvery());
    assertEquals(4, entry.spec().validateEvery());
    assertEquals(OptimizerSpec.AdamW.DEFAULT, entry.spec().optimizer());
    assertEquals(new Objective.Dpo(0.1), entry.spec().objective());
    assertEquals(OptionalDouble.empty(), entry.spec().maxGradNorm());
    assertEquals(Schedule.CONSTANT, entry.spec().schedule());
  }

  @Test
  void defaultsHoldForTasksThatSayNothingElse() {
    List<Entry> entries =
        read(
            """
            defaults:
              r: 4
              batch_size: 2
              num_train_epochs: 3
              validation: 0.1
              objective: dpo
              beta: 0.3
            tasks:
              - {name: a, data: a.jsonl}
              - name: b
                data: /data/b.jsonl
                r: 8
                per_device_train_batch_size: 5
                max_steps: 9
                validation: ~
                objective: next-token
            """);
    Entry a = entries.get(0);
    assertEquals(4, a.spec().method().rank());
    assertEquals(2, a.spec().batchSize());
    assertEquals(new Validation.Fraction(0.1), a.validation());
    assertEquals(new Objective.Dpo(0.3), a.spec().objective());
    Entry b = entries.get(1);
    assertEquals(8, b.spec().method().rank());
    assertEquals(5, b.spec().batchSize());
    assertEquals(9, b.spec(1000).steps());
    assertEquals(new Validation.None(), b.validation());
    assertEquals(new Objective.NextToken(), b.spec().objective());
    assertEquals(Path.of("/data/b.jsonl"), b.data());
  }

  @Test
  void epochsBecomeSteps() {
    Entry entry = task("num_train_epochs: 2.5", "batch_size: 2", "gradient_accumulation_steps: 3");
    assertEquals(5, entry.spec(11).steps()); // 27.5 examples, 6 a step
    assertEquals(entry.spec().withSteps(1), entry.spec(1));
    assertThrows(IllegalArgumentException.class, () -> entry.spec(0));
    Entry endless = task("num_train_epochs: 1e30");
    assertThrows(LorikeetException.class, () -> endless.spec(1));
  }

  @Test
  void aTaskMayGoOnFromAnAdapter() {
    Entry entry =
        read("defaults: {r: 4}\ntasks: [{name: a, data: a.jsonl, start: old/a}]").getFirst();
    assertEquals(Optional.of(folder.resolve("old/a")), entry.spec().start());
    refused(
        only("start: old", "r: 4"),
        "tasks[0]: r: expected nothing, since the adapter at 'start' has it");
  }

  @Test
  void modulesMayBeAllOfThem() {
    assertEquals(
        Set.copyOf(Projection.ofLayer()),
        task("target_modules: all-linear").spec().method().targets());
    assertEquals(Set.of(Projection.Q), task("target_modules: q_proj").spec().method().targets());
  }

  @Test
  void jsonIsReadToo() {
    Path file =
        write(
            "tasks.json",
            """
            {"defaults": {"r": 4},
            \t"tasks": [{"name": "a", "data": "a.jsonl", "learning_rate": 1e-4}]}
            """);
    Entry entry = TaskFile.read(file).getFirst();
    assertEquals(4, entry.spec().method().rank());
    assertEquals(1e-4, entry.spec().learningRate());
    refused(write("other.json", "tasks: []"), "other.json: expected well-formed JSON");
  }

  @Test
  void errorsNameFilePlaceAndKey() {
    assertEquals(
        folder.resolve("tasks.yaml") + ": tasks[0]: r: expected an integer from 1 to 4096, found 0",
        refused(only("r: 0")).replaceAll("to \\d+,", "to 4096,"));
    refused(
        "defaults: {learning_rate: fast}\ntasks: [{name: a, data: b}]",
        "tasks.yaml: defaults: learning_rate: expected a number above 0.0, found \"fast\"");
  }

  @Test
  void keysThatNobodyKnows() {
    refusedTask("lora_alhpa: 3", "tasks[0]: unknown key 'lora_alhpa'; did you mean 'lora_alpha'?");
    refusedTask("dropout: 3", "tasks[0]: unknown key 'dropout'; ", "known are adam_beta1, ");
    refused("task: []", "tasks.yaml: unknown key 'task'; did you mean 'tasks'?");
    refused("defaults: {name: a}\ntasks: []", "defaults: unknown key 'name'");
  }

  @Test
  void methodsThatAreNotThere() {
    refusedTask("method: [dora, block-diagonal]\n    nblocks: 2", "expected 1 with DoRA, found 2");
    refusedTask("method: [lora, vera]", "method: 'vera' is not supported yet");
    refusedTask("method: rs-lora", "unknown method 'rs-lora'; did you mean 'rslora'?");
    refusedTask("optimizer: adam", "unknown optimizer 'adam'; did you mean 'adamw'?");
    refusedTask("method: block-diagonal", "nblocks: expected the number of blocks");
  }

  @Test
  void valuesThatAreNotWhatTheyMustBe() {
    refusedTask("r: 1.5", "r: expected an integer from 1");
    refusedTask("learning_rate: 0", "learning_rate: expected a number above 0.0, found 0");
    refusedTask("learning_rate: .nan", "learning_rate: expected a number above 0.0");
    refusedTask("learning_rate: 1e999", "learning_rate: expected a number above 0.0");
    refusedTask("shuffle: yes", "shuffle: expected true or false, found \"yes\"");
    refusedTask("seed: 1.5", "seed: expected a whole number of 64 bits");
    refusedTask("target_modules: [q_prj]", "unknown module 'q_prj'; did you mean 'q_proj'?");
    refusedTask("target_modules: [lm_head]", "unknown module 'lm_head'");
    refusedTask("target_modules: []", "target_modules: expected at least one module");
    refusedTask("target_modules: [1]", "target_modules[0]: expected text, found 1");
    refusedTask("rank_pattern: {q_proj: x}", "rank_pattern.q_proj: expected an integer");
    refusedTask("rank_pattern: 7", "rank_pattern: expected a map from modules to numbers");
    refusedTask("alpha_pattern: {q_proj: -1}", "alpha_pattern.q_proj: expected a number above 0");
    refusedTask("validation: 1.5", "validation: expected a file, or a number above 0 and below 1");
    refusedTask("adam_beta1: 1", "tasks[0]: beta1: expected less than 1");
    refused(
        only("batch_size: 65536", "gradient_accumulation_steps: 65536"),
        "tasks[0]: batch size: expected at most 2147483647 examples a step, found 4294967296");
    refusedTask("dtype: int8", "unknown type 'int8'");
    refusedTask("overlong: cut", "unknown way 'cut'; known are leave-out, refuse, truncate");
    refused("tasks: [{name: a/b, data: x}]", "task name: expected 1 to 128 letters");
    refused("tasks: [{name: a}]", "tasks[0]: data: expected a file of examples, found nothing");
    refused("tasks: [{data: a}]", "tasks[0]: name: expected the task's name, found nothing");
    refused("tasks: []", "tasks: expected at least one task, found nothing");
    refused("tasks: {}", "tasks: expected a list of at most");
    refused("defaults: {}", "tasks: expected a list of at most");
  }

  @Test
  void keysThatAreOfNoUse() {
    refusedTask("beta: 0.1", "beta: expected nothing, since the objective is next-token");
    refusedTask("nblocks: 2", "nblocks: expected nothing, since the method is not block-diagonal");
    refusedTask("loraplus_lr_ratio: 2", "expected nothing, since the method is not lora+");
    refused(
        only("optimizer: sgd", "adam_beta1: 0.5"),
        "adam_beta1: expected nothing, since the optimizer is sgd");
  }

  @Test
  void twoNamesOfOneKey() {
    refused(
        only("batch_size: 1", "per_device_train_batch_size: 1"),
        "tasks[0]: expected one of batch_size, per_device_train_batch_size, found both");
    refused(
        only("max_steps: 1", "num_train_epochs: 1"),
        "tasks[0]: expected one of max_steps, num_train_epochs, found both");
  }

  @Test
  void twoTasksOfOneName() {
    refused(
        "tasks: [{name: a, data: x}, {name: A, data: y}]",
        "tasks[1]: name: expected a name that no other task has, found A");
  }

  @Test
  void yamlThatIsNone() {
    refused("", "tasks.yaml: expected a map, found nothing");
    refused("- a", "tasks.yaml: line 1: expected a map, found another value");
    refused("tasks: [\n", "tasks.yaml: line 2: expected well-formed YAML, found ");
    refused("a: b: c", "tasks.yaml: line 1: expected well-formed YAML");
    refused("tasks: []\ntasks: []\n", "line 2: expected each key once, found 'tasks' again");
    refused("tasks: []\n---\ntasks: []\n", "line 2: expected one document, found another one");
    refused("? [a]\n: b\n", "line 1: expected a key, found a list, a map or an alias");
    refused("tasks: " + "[".repeat(20) + "]".repeat(20), "expected at most 16 levels, found more");
    refused("tasks: \u0000", "expected well-formed YAML");
  }

  @Test
  void yamlThatMakesObjectsOrGrows() {
    refused("tasks: !!java.net.URL [a]", "line 1: expected YAML without tags, found 'tag:yaml");
    refused("a: &a [x, x]\nb: &b [*a, *a]\n", "line 2: aliases are not read");
    refused("defaults: &d {r: 1}\ntasks: [{<<: *d}]\n", "line 2: aliases are not read");
  }

  @Test
  void filesThatAreNone() throws IOException {
    refused(folder, "expected a regular file, found a directory");
    refused(folder.resolve("none.yaml"), "none.yaml: expected a regular file, found nothing");
    Path latin = folder.resolve("latin.yaml");
    Files.write(latin, "tasks: [é]".getBytes(StandardCharsets.ISO_8859_1));
    refused(latin, "latin.yaml: expected UTF-8, found a malformed sequence of bytes");
    refused("#".repeat((1 << 20) + 1), "expected at most 1048576 bytes");
  }
}
