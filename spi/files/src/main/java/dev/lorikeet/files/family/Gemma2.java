package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.TensorNames;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/** Gemma 2: norms on both sides of a block, soft caps, every other layer sees through a window. */
final class Gemma2 implements ModelFamily {
  /** Of Gemma 2 and 3: norms before and after each block. */
  static final TensorNames NAMES =
      TensorNames.LLAMA.withNorms(
          Map.of(
              Norm.Place.ATTENTION_INPUT, "input_layernorm",
              Norm.Place.ATTENTION_OUTPUT, "post_attention_layernorm",
              Norm.Place.MLP_INPUT, "pre_feedforward_layernorm",
              Norm.Place.MLP_OUTPUT, "post_feedforward_layernorm"));

  static final Conventions CONVENTIONS =
      Conventions.LLAMA.withTied().withActivation("hidden_activation", Mlp.Activation.GELU_TANH);

  private static final double MAX_SCALAR = 1e6;
  private static final int WINDOW = 4096;

  @Override
  public String modelType() {
    return "gemma2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    Architecture.Builder decoder = Gemma.begin(this, config, CONVENTIONS);
    return decoder
        .names(NAMES)
        .attentionScale(scale(json))
        .attentionCap(cap(json, "attn_logit_softcapping", 50))
        .slidingWindow(window(json), config.slidingLayers(layer -> layer % 2 == 0))
        .multipliers(Gemma.multipliers(decoder, cap(json, "final_logit_softcapping", 30).orElse(0)))
        .build();
  }

  /** The factor of scores comes of a number in the configuration, not of the width of heads. */
  static double scale(JsonFile json) {
    return 1
        / Math.sqrt(json.optionalNumber("query_pre_attn_scalar", 1e-6, MAX_SCALAR).orElse(256));
  }

  /** Null is none, an absent key is the cap of the first models. */
  static OptionalDouble cap(JsonFile json, String key, double whenAbsent) {
    return json.root().has(key)
        ? json.optionalNumber(key, 1e-6, MAX_SCALAR)
        : OptionalDouble.of(whenAbsent);
  }

  static OptionalInt window(JsonFile json) {
    return json.root().has("sliding_window")
        ? json.optionalInteger("sliding_window", 1, Integer.MAX_VALUE)
        : OptionalInt.of(WINDOW);
  }
}
