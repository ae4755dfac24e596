package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;

/**
 * Qwen3, dense: norms on the heads of q and k; biases on attention where the configuration says so;
 * the later layers may see through a window.
 */
final class Qwen3 implements ModelFamily {
  @Override
  public String modelType() {
    return "qwen3";
  }

  @Override
  public Architecture read(ConfigFile config) {
    if (!config.json().has("head_dim")) {
      // transformers guesses 128 where it is absent, whatever the other sizes
      throw config.json().missing("head_dim", "an integer");
    }
    Architecture.Builder decoder =
        config
            .decoder(this, config.kvHeadsThatMustBeThere())
            .queryKeyNorms(Norm.OfQueryAndKey.HEADS)
            .slidingWindow(config.slidingWindowIfUsed(), Qwen2.slidingLayers(config));
    return decoder.biased(config.attentionBiases()).build();
  }
}
