package dev.lorikeet.jlama.weights;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Random models of every family and variation, with the logits that transformers computes for them
 * in float32 ({@code logits.json}, made by {@code make_logits.py} from what {@link #main} writes).
 */
public final class ReferenceModels {
  private static final Path LOGITS =
      Path.of("src/test/resources/dev/lorikeet/jlama/weights/logits.json");
  private static final long SEED = 20260101;

  private ReferenceModels() {}

  /**
   * What transformers computes for a model.
   *
   * @param tokens the sequence
   * @param stride the distance of the stored logits: entry i is that of token {@code i * stride}
   * @param lastLogits logits after the last token
   */
  public record Reference(List<Integer> tokens, int stride, List<Float> lastLogits) {
    /** Returns the tokens as an array. */
    public int[] tokenArray() {
      return tokens.stream().mapToInt(Integer::intValue).toArray();
    }

    /** Returns the largest difference to all logits, relative to the largest reference. */
    public double worst(float[] logits) {
      double largest = 0;
      double worst = 0;
      for (int i = 0; i < lastLogits.size(); i++) {
        double expected = lastLogits.get(i);
        largest = Math.max(largest, Math.abs(expected));
        worst = Math.max(worst, Math.abs(expected - logits[i * stride]));
      }
      return worst / largest;
    }
  }

  /** Returns the models by name; {@link RandomModel#write} gives their directories. */
  public static Map<String, RandomModel> all() {
    Map<String, RandomModel> models = new LinkedHashMap<>();
    models.put("llama", llama());
    models.put("llama-bf16", llama().type(ElementType.BF16).layers(3));
    models.put("llama-f16-sharded-tied", llama().type(ElementType.F16).shards(3).tied());
    models.put("llama-one-head-each", llama().heads(4, 4));
    models.put("llama-one-kv-head", llama().heads(8, 1));
    models.put("llama-head-dim", llama().headDim(48));
    models.put("llama-attention-bias", llama().attentionBias());
    models.put("llama-mlp-bias", llama().mlpBias());
    models.put("llama-theta", llama().config("rope_theta", 500000.0));
    models.put("llama-linear", llama().config("rope_scaling", scaling("linear")));
    models.put("llama-llama3", llama().config("rope_scaling", scaling("llama3")));
    models.put("llama-yarn", llama().config("rope_scaling", scaling("yarn")));
    Map<String, Object> parameters = scaling("yarn");
    parameters.put("rope_theta", 5000.0);
    parameters.put("attention_factor", 1.25);
    models.put("llama-rope-parameters", llama().config("rope_parameters", parameters));
    models.put("mistral", RandomModel.mistral(SEED));
    models.put("mistral-head-dim", RandomModel.mistral(SEED).headDim(64).type(ElementType.BF16));
    models.put("mistral-window", RandomModel.mistral(SEED).config("sliding_window", 8));
    models.put("qwen2", RandomModel.qwen2(SEED));
    models.put("qwen2-bf16-tied", RandomModel.qwen2(SEED).type(ElementType.BF16).tied());
    models.put("qwen2-yarn", RandomModel.qwen2(SEED).config("rope_scaling", scaling("yarn")));
    return models;
  }

  private static RandomModel llama() {
    return RandomModel.llama(SEED);
  }

  private static Map<String, Object> scaling(String kind) {
    Map<String, Object> scaling = new LinkedHashMap<>(Map.of("rope_type", kind, "factor", 4.0));
    if (kind.equals("llama3")) {
      scaling.put("low_freq_factor", 1.0);
      scaling.put("high_freq_factor", 4.0);
    }
    if (!kind.equals("linear")) {
      scaling.put("original_max_position_embeddings", 64);
    }
    return scaling;
  }

  /** Returns what transformers computes for a model. */
  public static Reference reference(String name) {
    try {
      ObjectMapper mapper = new ObjectMapper();
      JsonNode all = mapper.readTree(LOGITS.toFile());
      return new Reference(
          List.of(mapper.convertValue(all.path("tokens"), Integer[].class)),
          all.path("stride").intValue(),
          List.of(mapper.convertValue(all.path("models").path(name), Float[].class)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Writes all models below a directory, for {@code make_logits.py}. */
  public static void main(String[] arguments) {
    Path directory = Path.of(arguments[0]);
    all().forEach((name, model) -> model.write(directory.resolve(name)));
  }
}
