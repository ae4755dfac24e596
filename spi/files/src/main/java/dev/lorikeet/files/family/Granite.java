package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Multipliers;
import java.util.List;

/** Granite 3: Llama with factors on embeddings, scores, blocks and logits. */
final class Granite implements ModelFamily {
  private static final double LEAST = 1e-9;
  private static final double MOST = 1e9;

  @Override
  public String modelType() {
    return "granite";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    Architecture.Builder decoder = config.decoder(this, config.kvHeads().orElse(config.heads()));
    decoder
        .attentionScale(factor(json, "attention_multiplier"))
        .multipliers(
            new Multipliers(
                factor(json, "embedding_multiplier"),
                false,
                factor(json, "residual_multiplier"),
                1 / factor(json, "logits_scaling"),
                0));
    if (json.bool("attention_bias", false)) {
      decoder.biased(List.of(Q, K, V, O));
    }
    if (json.bool("mlp_bias", false)) {
      decoder.biased(List.of(GATE, UP, DOWN));
    }
    return decoder.build();
  }

  private static double factor(JsonFile json, String key) {
    return json.optionalNumber(key, LEAST, MOST).orElse(1);
  }
}
