package dev.lorikeet.files.family;

import static dev.lorikeet.shape.Projection.K;
import static dev.lorikeet.shape.Projection.Q;
import static dev.lorikeet.shape.Projection.V;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.util.List;

/** Qwen2 and Qwen2.5; biases on q, k and v. */
final class Qwen2 implements ModelFamily {
  @Override
  public String modelType() {
    return "qwen2";
  }

  @Override
  public Architecture read(ConfigFile config) {
    config.refuseIfTrue("use_sliding_window");
    return config.decoder(this, config.kvHeadsThatMustBeThere()).biased(List.of(Q, K, V)).build();
  }
}
