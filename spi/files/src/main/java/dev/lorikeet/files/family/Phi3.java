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
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.ModuleNames.Module;
import java.util.List;

/** Phi-3, Phi-3.5 and Phi-4: q, k and v are one matrix, and so are gate and up. */
final class Phi3 implements ModelFamily {
  private static final ModuleNames MODULES =
      ModuleNames.of(
          "model.layers.",
          List.of(
              Module.of("self_attn.qkv_proj", Q, K, V),
              Module.of("self_attn.o_proj", O),
              Module.of("mlp.gate_up_proj", GATE, UP),
              Module.of("mlp.down_proj", DOWN)));

  @Override
  public String modelType() {
    return "phi3";
  }

  @Override
  public Architecture read(ConfigFile config) {
    return config
        .decoder(this, config.kvHeads().orElse(config.heads()), Conventions.LLAMA.withEpsilon(1e-5))
        .shape(shape -> shape.modules(MODULES))
        .slidingWindow(config.slidingWindow())
        .build();
  }
}
