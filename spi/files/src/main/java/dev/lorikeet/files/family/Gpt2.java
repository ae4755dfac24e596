package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.Conventions.Keys;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.TensorNames;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.ModuleNames.Module;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** GPT-2: learned positions, LayerNorm, matrices stored by columns, q, k and v as one of them. */
final class Gpt2 implements ModelFamily {
  private static final Keys KEYS =
      new Keys(
          "n_embd",
          "n_inner",
          "n_layer",
          "n_head",
          "n_positions",
          "layer_norm_epsilon",
          "activation_function",
          true);

  private static final Conventions CONVENTIONS =
      new Conventions(KEYS, Norm.Kind.LAYER, 1e-5, true, Mlp.Activation.GELU_TANH, false);

  private static final TensorNames NAMES =
      new TensorNames(
          "transformer.wte.weight",
          Optional.of("transformer.wpe.weight"),
          "lm_head.weight",
          "transformer.ln_f",
          "transformer.h.",
          Map.of(Norm.Place.ATTENTION_INPUT, "ln_1", Norm.Place.MLP_INPUT, "ln_2"),
          "",
          "",
          true);

  private static final ModuleNames MODULES =
      ModuleNames.of(
              "transformer.h.",
              List.of(
                  Module.of("attn.c_attn", Q, K, V),
                  Module.of("attn.c_proj", O),
                  Module.of("mlp.c_fc", UP),
                  Module.of("mlp.c_proj", DOWN)))
          .withEmbedding("transformer.wte");

  @Override
  public String modelType() {
    return "gpt2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    config.refuseIfTrue("add_cross_attention");
    config.refuseIfTrue("scale_attn_by_inverse_layer_idx");
    Architecture.Builder decoder =
        config
            .decoder(this, config.heads(KEYS), CONVENTIONS)
            .names(NAMES)
            .shape(shape -> shape.modules(MODULES))
            .withoutGate()
            .biased(MODULES.projections());
    if (!json.bool("scale_attn_weights", true)) {
      decoder.attentionScale(1);
    }
    return decoder.build();
  }
}
