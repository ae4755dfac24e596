package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.util.List;

/**
 * Llama 1 to 3 and what shares their architecture; biases on attention and MLP where the
 * configuration says so.
 */
final class Llama implements ModelFamily {
  @Override
  public String modelType() {
    return "llama";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder = config.decoder(this, config.kvHeads().orElse(config.heads()));
    if (config.json().bool("attention_bias", false)) {
      decoder.biased(List.of(Q, K, V, O));
    }
    if (config.json().bool("mlp_bias", false)) {
      decoder.biased(List.of(GATE, UP, DOWN));
    }
    return decoder.build();
  }
}
