package dev.lorikeet.jlama.training;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.tensor.Tensor;
import dev.lorikeet.tiny.TinyModel;
import dev.lorikeet.training.stage.LearnedGradients;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.Retention;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.stage.TrainingPass;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole runs against those of PEFT and PyTorch, with the least of an optimizer. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class ReferenceRunTest {
  private static final Path RUNS = Path.of("src/test/resources/dev/lorikeet/jlama/training");
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int MAX_TOKENS = 512;

  /** A sequence and the coefficient of each of its tokens' log-probabilities, when known. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Example(int[] ids, int[] targets) {}

  /** A run as its files tell it. */
  private record Run(JsonNode log, JsonNode data, LearningAdapter adapter, OpenedStage opened) {
    double number(String key) {
      return log.get(key).asDouble();
    }

    boolean isDpo() {
      return !log.get("dpo_beta").isNull();
    }

    Example example(int index) {
      JsonNode example = data.get(index % data.size());
      return new Example(ints(example.get("ids")), ints(example.get("labels")));
    }

    /** A prompt with its chosen or its rejected answer, of which the answer alone counts. */
    Example answer(int index, String which) {
      int[] prompt = ints(data.get(index).get("prompt"));
      int[] answer = ints(data.get(index).get(which));
      int[] ids = IntStream.concat(IntStream.of(prompt), IntStream.of(answer)).toArray();
      int[] targets = ids.clone();
      Arrays.fill(targets, 0, prompt.length, MicroBatch.NO_LOSS);
      return new Example(ids, targets);
    }

    private static int[] ints(JsonNode array) {
      int[] ints = new int[array.size()];
      for (int i = 0; i < ints.length; i++) {
        ints[i] = array.get(i).asInt();
      }
      return ints;
    }

    private static MicroBatch pack(List<Example> examples) {
      MicroBatch.Builder builder = MicroBatch.builder();
      examples.forEach(example -> builder.add(0, example.ids, example.targets));
      return builder.build();
    }

    /** Returns the log-probabilities of a micro-batch. */
    private double[] forward(MicroBatch batch, Optional<AdapterLease> lease) {
      LoraBatch lora = batch.fill(new LoraBatch(), task -> lease);
      try (TrainingPass pass =
          opened.stage().forward(batch, lora, Optional.empty(), Retention.NOTHING)) {
        return ((StageOutput.LogProbabilities) pass.output()).values();
      }
    }

    private interface Loss {
      /** From log-probabilities to the loss; fills in its gradient. */
      double of(double[] values, float[] coefficients);
    }

    /** Adds a micro-batch's gradients, and returns its part of the loss. */
    private double step(MicroBatch batch, Loss loss) {
      LoraBatch lora = batch.fill(new LoraBatch(), task -> Optional.of(adapter));
      try (TrainingPass pass =
          opened.stage().forward(batch, lora, Optional.empty(), Retention.ALL)) {
        double[] values = ((StageOutput.LogProbabilities) pass.output()).values();
        float[] coefficients = new float[values.length];
        double part = loss.of(values, coefficients);
        opened
            .stage()
            .backward(
                pass,
                new OutputGradient.OfLogProbabilities(coefficients),
                LearnedGradients.of(LearningAdapter.gradients()));
        return part;
      }
    }

    /** Returns the loss of a step of cross-entropy; its gradients are added. */
    double crossEntropy(int step) {
      int batch = log.get("batch").asInt();
      int accumulate = log.get("accumulate").asInt();
      List<MicroBatch> batches = new ArrayList<>();
      int count = 0;
      for (int a = 0; a < accumulate; a++) {
        int first = (step * accumulate + a) * batch;
        batches.add(pack(IntStream.range(first, first + batch).mapToObj(this::example).toList()));
        count += batches.getLast().labelled(0);
      }
      double loss = 0;
      float each = -1f / count;
      for (MicroBatch micro : batches) {
        double sum =
            step(
                micro,
                (values, coefficients) -> {
                  Arrays.fill(coefficients, each);
                  double all = 0;
                  for (int s = 0; s < micro.sequences(); s++) {
                    all += micro.sum(s, values);
                  }
                  return all;
                });
        loss -= sum / count;
      }
      return loss;
    }

    /** Returns the loss of a step of DPO; its gradients are added. */
    double preference(int step) {
      int batch = log.get("batch").asInt();
      double beta = number("dpo_beta");
      List<Example> examples = new ArrayList<>();
      for (int i = step * batch; i < (step + 1) * batch; i++) {
        examples.add(answer(i % data.size(), "chosen"));
        examples.add(answer(i % data.size(), "rejected"));
      }
      MicroBatch micro = pack(examples);
      double[] base = forward(micro, Optional.empty());
      return step(
          micro,
          (values, coefficients) -> {
            double loss = 0;
            for (int pair = 0; pair < batch; pair++) {
              double chosen = micro.sum(2 * pair, values) - micro.sum(2 * pair, base);
              double rejected = micro.sum(2 * pair + 1, values) - micro.sum(2 * pair + 1, base);
              double margin = beta * (chosen - rejected);
              loss += Math.log1p(Math.exp(-margin)) / batch;
              float slope = (float) (-beta / (1 + Math.exp(margin)) / batch);
              int start = micro.start(2 * pair);
              int middle = micro.start(2 * pair + 1);
              Arrays.fill(coefficients, start, middle, slope);
              Arrays.fill(coefficients, middle, micro.start(2 * pair + 2), -slope);
            }
            return loss;
          });
    }

    static Run open(String name, TinyModel tiny) throws IOException {
      JsonNode log = JSON.readTree(RUNS.resolve(name).resolve("log.json").toFile());
      JsonNode data = JSON.readTree(RUNS.resolve(name).resolve("data.json").toFile());
      OpenedStage opened = OpenedStage.whole(tiny.base(), 2, MAX_TOKENS);
      Path start = RUNS.resolve(log.get("start").asText()).resolve("start");
      LearningAdapter adapter = LearningAdapter.read(name, start, opened.architecture().shape());
      return new Run(log, data, adapter, opened);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "lora",
        "rslora-decay",
        "schedule-clip-accumulate",
        "masked-ragged",
        "loraplus",
        "block-diagonal",
        "sgd",
        "dpo"
      })
  void everyStepIsPytorchs(String name) throws IOException {
    Run run = Run.open(name, TinyModel.extract());
    try (OpenedStage opened = run.opened) {
      LearningAdapter adapter = run.adapter;
      Moments moments = new Moments();
      JsonNode log = run.log.get("log");
      for (int step = 0; step < log.size(); step++) {
        JsonNode expected = log.get(step);
        adapter.clearGradients();
        double loss = run.isDpo() ? run.preference(step) : run.crossEntropy(step);
        String where = name + ", step " + step;
        assertEquals(expected.get("loss").asDouble(), loss, step == 0 ? 1e-4 : 2e-3, where);
        double norm = expected.get("grad_norm").asDouble();
        double tolerance = (step == 0 ? 1e-3 : 2e-2) * norm;
        assertEquals(norm, adapter.gradientNorm(), tolerance, where);
        moments.update(run, expected.get("lr"), step + 1);
      }
      assertTrue(opened.stage().heldBytes() > 0);
      assertEquals(0, distance(name, adapter), 1e-2, name);
    }
  }

  /** Returns the distance to the reference's adapter behind the last step, relative to its size. */
  private static double distance(String name, LearningAdapter adapter) {
    double squares = 0;
    double difference = 0;
    try (Arena arena = Arena.ofConfined()) {
      Map<String, StoredTensor> end = new HashMap<>();
      SafetensorsFile.map(RUNS.resolve(name).resolve("end.safetensors"), arena)
          .forEach(tensor -> end.put(tensor.name(), tensor));
      for (LearningAdapter.Module module : adapter.modules()) {
        for (String factor : List.of("A", "B")) {
          StoredTensor tensor =
              Objects.requireNonNull(end.get(LearningAdapter.name(module.target, factor)));
          float[] values = factor.equals("A") ? module.a : module.b;
          for (int i = 0; i < values.length; i += 16) {
            double expected = tensor.bytes().get(ValueLayout.JAVA_FLOAT_UNALIGNED, i / 16 * 4L);
            squares += expected * expected;
            difference += (expected - values[i]) * (expected - values[i]);
          }
        }
      }
    }
    return Math.sqrt(difference / squares);
  }

  /** AdamW and SGD as PyTorch has them. */
  private static final class Moments {
    private final IdentityHashMap<float[], float[]> first = new IdentityHashMap<>();
    private final IdentityHashMap<float[], float[]> second = new IdentityHashMap<>();

    void update(Run run, JsonNode rates, int step) {
      JsonNode most = run.log.get("max_grad_norm");
      double norm = run.adapter.gradientNorm();
      double clip = most.isNull() ? 1 : Math.min(1, most.asDouble() / (norm + 1e-6));
      for (LearningAdapter.Module module : run.adapter.modules()) {
        update(run, module.a, module.dA, clip, rates.get(0).asDouble(), step);
        update(run, module.b, module.dB, clip, rates.get(rates.size() - 1).asDouble(), step);
        module.write();
      }
    }

    private void update(
        Run run, float[] weights, Tensor gradient, double clip, double rate, int step) {
      float[] m = first.computeIfAbsent(weights, w -> new float[w.length]);
      float[] v = second.computeIfAbsent(weights, w -> new float[w.length]);
      double decay = 1 - rate * run.number("weight_decay");
      boolean plain = run.log.get("optimizer").asText().equals("sgd");
      double firstBias = 1 - Math.pow(0.9, step);
      double secondBias = 1 - Math.pow(0.999, step);
      for (int i = 0; i < weights.length; i++) {
        double g = clip * gradient.segment().getAtIndex(ValueLayout.JAVA_FLOAT, i);
        if (plain) {
          weights[i] -= (float) (rate * g);
          continue;
        }
        m[i] = (float) (0.9 * m[i] + 0.1 * g);
        v[i] = (float) (0.999 * v[i] + 0.001 * g * g);
        double size = Math.sqrt(v[i] / secondBias) + run.number("eps");
        weights[i] = (float) (weights[i] * decay - rate * m[i] / firstBias / size);
      }
    }
  }
}
