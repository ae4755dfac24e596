package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.UP;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;

/** Qwen3 with experts in place of MLPs. */
final class Qwen3Moe implements ModelFamily {
  private static final int MAX_INTERMEDIATE = 1 << 19;
  private static final int MAX_LAYERS = 1 << 10;

  @Override
  public String modelType() {
    return "qwen3_moe";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    int width = json.integer("moe_intermediate_size", 1, MAX_INTERMEDIATE);
    String count = json.has("num_experts") ? "num_experts" : "num_local_experts";
    Architecture.Builder decoder =
        config
            .decoder(this, config.kvHeadsThatMustBeThere())
            .shape(shape -> shape.intermediate(width).modules(Mixtral.modules(json, count)))
            .queryKeyNorms(Norm.OfQueryAndKey.HEADS)
            .slidingWindow(config.slidingWindowIfUsed())
            .experts(
                Mixtral.experts(
                        json,
                        count,
                        json.bool("norm_topk_prob", false),
                        "mlp.",
                        Map.of(GATE, "gate_proj", UP, "up_proj", DOWN, "down_proj"))
                    .with(dense(config)));
    return decoder.biased(config.attentionBiases()).build();
  }

  /** Experts are in every step-th layer, but for those that are named. */
  private static Experts.Dense dense(ConfigFile config) {
    JsonFile json = config.json();
    int layers = json.integer("num_hidden_layers", 1, MAX_LAYERS);
    int step = json.optionalInteger("decoder_sparse_step", 1, Integer.MAX_VALUE).orElse(1);
    Set<Integer> dense = new HashSet<>();
    for (int layer = 0; layer < layers; layer++) {
      if ((layer + 1) % step != 0) {
        dense.add(layer);
      }
    }
    String key = "mlp_only_layers";
    JsonNode named = json.node(key).orElse(JsonNodeFactory.instance.arrayNode());
    if (!named.isArray() || named.size() > layers) {
      throw json.wrong(key, named, "a list of at most " + layers + " layers");
    }
    named.forEach(layer -> dense.add(json.integer(key, layer, 0, layers - 1)));
    return dense.isEmpty()
        ? Experts.Dense.NONE
        : new Experts.Dense(dense, json.integer("intermediate_size", 1, MAX_INTERMEDIATE));
  }
}
