package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Multipliers;

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
    return decoder.biased(config.attentionBiases()).biased(config.mlpBiases()).build();
  }

  private static double factor(JsonFile json, String key) {
    return json.optionalNumber(key, LEAST, MOST).orElse(1);
  }
}
