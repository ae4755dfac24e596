package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.TensorNames;
import java.util.Map;

/** OLMo 2: norms behind blocks instead of before them, and on whole rows of q and k. */
final class Olmo2 implements ModelFamily {
  private static final TensorNames NAMES =
      TensorNames.LLAMA.withNorms(
          Map.of(
              Norm.Place.ATTENTION_OUTPUT, "post_attention_layernorm",
              Norm.Place.MLP_OUTPUT, "post_feedforward_layernorm"));

  @Override
  public String modelType() {
    return "olmo2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder =
        config
            .decoder(
                this, config.kvHeads().orElse(config.heads()), Conventions.LLAMA.withEpsilon(1e-5))
            .names(NAMES)
            .queryKeyNorms(Norm.OfQueryAndKey.ROWS);
    return decoder.biased(config.attentionBiases()).build();
  }
}
