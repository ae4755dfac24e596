package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.util.List;
import java.util.function.IntPredicate;

/** Qwen2 and Qwen2.5; biases on q, k and v; the later layers may see through a window. */
final class Qwen2 implements ModelFamily {
  @Override
  public String modelType() {
    return "qwen2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    return config
        .decoder(this, config.kvHeadsThatMustBeThere())
        .biased(List.of(Q, K, V))
        .slidingWindow(config.slidingWindowIfUsed(), slidingLayers(config))
        .build();
  }

  /** Qwen2 and Qwen3 agree which layers see through the window. */
  static IntPredicate slidingLayers(ConfigFile config) {
    int full = config.json().optionalInteger("max_window_layers", 0, Integer.MAX_VALUE).orElse(28);
    return config.slidingLayers(layer -> layer >= full);
  }
}
