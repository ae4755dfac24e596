package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Multipliers;

/** Gemma: norms whose weights are stored less one, scaled embeddings, a gated MLP with GELU. */
final class Gemma implements ModelFamily {
  private static final Conventions CONVENTIONS =
      Conventions.LLAMA.withTied().withActivation("hidden_act", Mlp.Activation.GELU_TANH);

  @Override
  public String modelType() {
    return "gemma";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder = begin(this, config, CONVENTIONS);
    return decoder.multipliers(multipliers(decoder, 0)).build();
  }

  /** What all Gemmas have in common. */
  static Architecture.Builder begin(
      ModelFamily family, ConfigFile config, Conventions conventions) {
    if (!config.json().has("head_dim")) {
      // transformers guesses 256 where it is absent, whatever the other sizes
      throw config.json().missing("head_dim", "an integer");
    }
    config.refuseIfTrue("use_bidirectional_attention");
    Architecture.Builder decoder =
        config.decoder(family, config.kvHeadsThatMustBeThere(), conventions).normWeightOffset(1);
    return decoder.biased(config.attentionBiases());
  }

  /** Embeddings are multiplied with the root of their width, in the type of the weights. */
  static Multipliers multipliers(Architecture.Builder decoder, double logitCap) {
    return new Multipliers(Math.sqrt(decoder.hidden()), true, 1, 1, logitCap);
  }
}
