package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.Conventions.Keys;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.ModuleNames.Module;
import java.util.List;

/** StarCoder2: LayerNorm, biases, and an MLP without a gate. */
final class Starcoder2 implements ModelFamily {
  private static final Conventions CONVENTIONS =
      new Conventions(
          Keys.LLAMA.withEpsilon("norm_epsilon"),
          Norm.Kind.LAYER,
          1e-5,
          true,
          Mlp.Activation.GELU_TANH,
          true);

  private static final ModuleNames MODULES =
      ModuleNames.of(
          "model.layers.",
          List.of(
              Module.of("self_attn.q_proj", Q),
              Module.of("self_attn.k_proj", K),
              Module.of("self_attn.v_proj", V),
              Module.of("self_attn.o_proj", O),
              Module.of("mlp.c_fc", UP),
              Module.of("mlp.c_proj", DOWN)));

  @Override
  public String modelType() {
    return "starcoder2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder =
        config
            .decoder(this, config.kvHeadsThatMustBeThere(), CONVENTIONS)
            .shape(shape -> shape.modules(MODULES))
            .withoutGate()
            .slidingWindow(config.slidingWindow());
    if (config.json().bool("use_bias", true)) {
      decoder.biased(MODULES.projections());
    }
    return decoder.build();
  }
}
