package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.ModelFamily;

/** Ministral 3: Mistral whose queries grow with their positions beyond the first training's. */
final class Ministral3 implements ModelFamily {
  private static final double MAX_BETA = 1e3;
  private static final String BETA = "llama_4_scaling_beta";
  private static final String POSITIONS = "original_max_position_embeddings";

  @Override
  public String modelType() {
    return "ministral3";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder =
        config.decoder(this, config.kvHeadsThatMustBeThere(), Conventions.LLAMA.withEpsilon(1e-5));
    JsonFile parameters =
        config
            .json()
            .object("rope_parameters")
            .orElseThrow(() -> config.json().missing("rope_parameters", "an object"));
    return decoder
        .queryScaling(
            new Attention.QueryScaling(
                parameters.number(BETA, 0, MAX_BETA),
                parameters.integer(POSITIONS, 1, Integer.MAX_VALUE)))
        .slidingWindow(config.slidingWindow())
        .build();
  }
}
