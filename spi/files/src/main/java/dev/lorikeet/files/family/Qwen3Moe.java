package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.UP;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import java.util.Map;

/** Qwen3 with experts in place of every MLP. */
final class Qwen3Moe implements ModelFamily {
  private static final int MAX_INTERMEDIATE = 1 << 19;

  @Override
  public String modelType() {
    return "qwen3_moe";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    if (json.optionalInteger("decoder_sparse_step", 0, Integer.MAX_VALUE).orElse(1) != 1
        || json.node("mlp_only_layers").map(layers -> !layers.isEmpty()).orElse(false)) {
      throw json.unsupported(
          "decoder_sparse_step, mlp_only_layers",
          "layers without experts",
          "experts in every layer: 1 and none");
    }
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
                    Map.of(GATE, "gate_proj", UP, "up_proj", DOWN, "down_proj")));
    return decoder.biased(config.attentionBiases()).build();
  }
}
