package dev.lorikeet.files.family;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.Conventions;
import dev.lorikeet.files.model.ModelFamily;
import java.util.Optional;
import java.util.function.IntPredicate;

/** SmolLM3: Llama with layers, every fourth unless told otherwise, that do not rotate. */
final class SmolLm3 implements ModelFamily {
  private static final int INTERVAL = 4;

  @Override
  public String modelType() {
    return "smollm3";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    Architecture.Builder decoder =
        config.decoder(this, config.kvHeadsThatMustBeThere(), Conventions.LLAMA.withTied());
    IntPredicate rotates = rotates(json, decoder.layers());
    decoder
        .rope(Optional.empty(), layer -> !rotates.test(layer))
        .slidingWindow(
            config.slidingWindowIfUsed(), config.slidingLayers(layer -> !rotates.test(layer)));
    return decoder.biased(config.attentionBiases()).biased(config.mlpBiases()).build();
  }

  private static IntPredicate rotates(JsonFile json, int layers) {
    Optional<JsonNode> listed = json.node("no_rope_layers");
    if (listed.isEmpty()) {
      int interval =
          json.optionalInteger("no_rope_layer_interval", 1, Integer.MAX_VALUE).orElse(INTERVAL);
      return layer -> (layer + 1) % interval != 0;
    }
    JsonNode flags = listed.get();
    if (!flags.isArray() || flags.size() != layers) {
      throw json.wrong("no_rope_layers", flags, "0 or 1 for each of the " + layers + " layers");
    }
    flags.forEach(flag -> json.integer("no_rope_layers", flag, 0, 1));
    return layer -> flags.get(layer).intValue() == 1;
  }
}
