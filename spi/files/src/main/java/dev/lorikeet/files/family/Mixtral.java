package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.DOWN;
import static dev.lorikeet.shape.Projection.GATE;
import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.O;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.UP;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.ModuleNames.Module;
import dev.lorikeet.shape.Projection;
import java.util.List;
import java.util.Map;

/** Mixtral: Mistral with eight experts in place of each MLP. */
final class Mixtral implements ModelFamily {
  /** Linear layers of a block beside its experts. */
  static final ModuleNames ATTENTION =
      ModuleNames.of(
          "model.layers.",
          List.of(
              Module.of(Q.path(), Q),
              Module.of(K.path(), K),
              Module.of(V.path(), V),
              Module.of(O.path(), O)));

  private static final int MAX_EXPERTS = 1 << 9;

  @Override
  public String modelType() {
    return "mixtral";
  }

  @Override
  public Architecture read(ConfigFile config) {
    Architecture.Builder decoder =
        config.decoder(this, config.kvHeadsThatMustBeThere(), Conventions.LLAMA.withEpsilon(1e-5));
    return decoder
        .shape(shape -> shape.modules(modules(config.json(), "num_local_experts")))
        .slidingWindow(config.slidingWindow())
        .experts(
            experts(
                config.json(),
                "num_local_experts",
                true,
                "block_sparse_moe.",
                Map.of(GATE, "w1", UP, "w3", DOWN, "w2")))
        .build();
  }

  /** Returns the names of modules, with those that adapters of older versions have. */
  static ModuleNames modules(JsonFile json, String key) {
    return ATTENTION.withExperts(
        new ModuleNames.Experts(
            json.integer(key, 1, MAX_EXPERTS),
            List.of("mlp.experts.", "block_sparse_moe.experts."),
            List.of("mlp.gate", "block_sparse_moe.gate"),
            Map.of(
                GATE, List.of("gate_proj", "w1"),
                UP, List.of("up_proj", "w3"),
                DOWN, List.of("down_proj", "w2"))));
  }

  /** Reads how many experts there are, and how many a token goes to. */
  static Experts experts(
      JsonFile json,
      String key,
      boolean renormalized,
      String block,
      Map<Projection, String> modules) {
    int count = json.integer(key, 1, MAX_EXPERTS);
    return new Experts(
        count,
        json.integer("num_experts_per_tok", 1, count),
        renormalized,
        block + "gate.weight",
        block + "experts.",
        modules,
        Experts.Dense.NONE);
  }
}
