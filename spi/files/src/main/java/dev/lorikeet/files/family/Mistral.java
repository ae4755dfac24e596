package dev.lorikeet.files.family;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.util.OptionalInt;

/** Mistral 7B and its kin; may attend through a sliding window. */
final class Mistral implements ModelFamily {
  /** An absent key is not null: transformers then takes the window of Mistral 7B v0.1. */
  private static final int FIRST_WINDOW = 4096;

  @Override
  public String modelType() {
    return "mistral";
  }

  @Override
  public Architecture read(ConfigFile config) {
    OptionalInt window = config.slidingWindow();
    if (window.isEmpty() && !config.json().root().has("sliding_window")) {
      window = OptionalInt.of(FIRST_WINDOW);
    }
    return config.decoder(this, config.kvHeadsThatMustBeThere()).slidingWindow(window).build();
  }
}
