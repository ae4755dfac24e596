package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;

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
    return decoder.biased(config.attentionBiases()).biased(config.mlpBiases()).build();
  }
}
