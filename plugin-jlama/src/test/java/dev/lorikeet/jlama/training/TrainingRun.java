package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.training.data.Example;
import dev.lorikeet.training.task.Objective;
import dev.lorikeet.training.task.OptimizerSpec;
import dev.lorikeet.training.task.Schedule;
import dev.lorikeet.training.task.TaskSpec;
import dev.lorikeet.training.trainer.StepReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** A run of PEFT and PyTorch as a task, and what came of it there. */
record TrainingRun(String name, JsonNode log, JsonNode data) {
  static final List<String> NAMES =
      List.of(
          "lora",
          "rslora-decay",
          "schedule-clip-accumulate",
          "masked-ragged",
          "loraplus",
          "block-diagonal",
          "sgd",
          "dpo",
          "dora");

  private static final Path RUNS = Path.of("src/test/resources/dev/lorikeet/jlama/training");
  private static final ObjectMapper JSON = new ObjectMapper();

  static TrainingRun of(String name) {
    try {
      return new TrainingRun(
          name,
          JSON.readTree(RUNS.resolve(name).resolve("log.json").toFile()),
          JSON.readTree(RUNS.resolve(name).resolve("data.json").toFile()));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private double number(String key) {
    return log.get(key).asDouble();
  }

  int steps() {
    return log.get("steps").asInt();
  }

  TaskSpec.Builder task() {
    TaskSpec.Builder task =
        TaskSpec.builder(name)
            .start(RUNS.resolve(log.get("start").asText()).resolve("start"))
            .learningRate(number("lr"))
            .steps(steps())
            .batchSize(log.get("batch").asInt())
            .accumulate(log.get("accumulate").asInt())
            .shuffle(false);
    task.optimizer(
        log.get("optimizer").asText().equals("sgd")
            ? new OptimizerSpec.Sgd(number("weight_decay"))
            : new OptimizerSpec.AdamW(
                log.get("betas").get(0).asDouble(),
                log.get("betas").get(1).asDouble(),
                number("eps"),
                number("weight_decay")));
    task.schedule(
        new Schedule(
            Schedule.Shape.valueOf(log.get("schedule").asText().toUpperCase(java.util.Locale.ROOT)),
            log.get("warmup_steps").asInt()));
    if (!log.get("max_grad_norm").isNull()) {
      task.maxGradNorm(number("max_grad_norm"));
    }
    if (!log.get("lora_plus_ratio").isNull()) {
      task.loraPlusRatio(number("lora_plus_ratio"));
    }
    if (!log.get("dpo_beta").isNull()) {
      task.objective(new Objective.Dpo(number("dpo_beta")));
    }
    return task;
  }

  /** Returns the examples in a list, so that the same one is the same object. */
  List<Example> examples() {
    java.util.ArrayList<Example> examples = new java.util.ArrayList<>();
    for (JsonNode example : data) {
      examples.add(
          example.has("prompt")
              ? new Example.Preference(
                  ints(example.get("prompt")),
                  ints(example.get("chosen")),
                  ints(example.get("rejected")))
              : new Example.Text(ints(example.get("ids")), ints(example.get("labels"))));
    }
    return examples;
  }

  private static int[] ints(JsonNode array) {
    int[] ints = new int[array.size()];
    for (int i = 0; i < ints.length; i++) {
      ints[i] = array.get(i).asInt();
    }
    return ints;
  }

  /** Compares a step with PyTorch's, within what the issue allows. */
  void check(StepReport report) {
    JsonNode expected = log.get("log").get(report.step() - 1);
    String where = name + ", step " + report.step();
    boolean first = report.step() == 1;
    double loss = expected.get("loss").asDouble();
    assertEquals(loss, report.loss(), first ? 1e-4 : 2e-3, where + ": loss");
    double norm = expected.get("grad_norm").asDouble();
    assertEquals(norm, report.gradientNorm(), norm * (first ? 1e-3 : 2e-2), where + ": norm");
    double rate = expected.get("lr").get(0).asDouble();
    assertEquals(rate, report.learningRate(), rate * 1e-9, where + ": learning rate");
    if (expected.has("margin")) {
      assertEquals(
          expected.get("margin").asDouble(),
          report.margin().orElseThrow(),
          2e-3,
          where + ": margin");
      assertEquals(
          expected.get("accuracy").asDouble(),
          report.accuracy().orElseThrow(),
          1e-6,
          where + ": accuracy");
    } else {
      assertEquals(expected.get("tokens").asLong(), report.labels(), where + ": labels");
    }
  }

  /** Returns the distance of an adapter to PyTorch's, relative to its size; every 16th weight. */
  double distance(Path adapter) {
    double squares = 0;
    double difference = 0;
    try (Arena arena = Arena.ofConfined()) {
      Map<String, StoredTensor> found = new HashMap<>();
      SafetensorsFile.map(adapter.resolve("adapter_model.safetensors"), arena)
          .forEach(tensor -> found.put(tensor.name(), tensor));
      for (StoredTensor end :
          SafetensorsFile.map(RUNS.resolve(name).resolve("end.safetensors"), arena)) {
        StoredTensor own = Objects.requireNonNull(found.get(end.name()), end.name());
        for (long i = 0; i < own.bytes().byteSize() / 4; i += 16) {
          double expected = end.bytes().get(ValueLayout.JAVA_FLOAT_UNALIGNED, i / 16 * 4);
          double value = own.bytes().get(ValueLayout.JAVA_FLOAT_UNALIGNED, i * 4);
          squares += expected * expected;
          difference += (expected - value) * (expected - value);
        }
      }
    }
    return Math.sqrt(difference / squares);
  }
}
