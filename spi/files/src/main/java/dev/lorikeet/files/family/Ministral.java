package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;

/** Ministral 8B and its kin: Mistral with a type for each layer. */
final class Ministral implements ModelFamily {
  @Override
  public String modelType() {
    return "ministral";
  }

  @Override
  public Architecture read(ConfigFile config) {
    return config
        .decoder(this, config.kvHeadsThatMustBeThere())
        .slidingWindow(config.slidingWindow(), config.slidingLayers(layer -> true))
        .build();
  }
}
