package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.Rope;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.IntPredicate;

/**
 * Gemma 3, text: as Gemma 2 without its caps, but norms on the heads of q and k; five layers that
 * see through a window and rotate by frequencies of their own before one that sees all.
 */
final class Gemma3 implements ModelFamily {
  private static final int PATTERN = 6;
  private static final double LEAST = 1e-6;
  private static final double MOST = 1e15;
  private static final double THETA = 1_000_000;
  private static final double LOCAL_THETA = 10_000;

  @Override
  public String modelType() {
    return "gemma3_text";
  }

  @Override
  public Architecture read(ConfigFile config) {
    JsonFile json = config.json();
    int pattern =
        json.optionalInteger("sliding_window_pattern", 1, Integer.MAX_VALUE)
            .orElse(
                json.optionalInteger("_sliding_window_pattern", 1, Integer.MAX_VALUE)
                    .orElse(PATTERN));
    IntPredicate sliding = config.slidingLayers(layer -> (layer + 1) % pattern != 0);
    Architecture.Builder decoder = Gemma.begin(this, config, Gemma2.CONVENTIONS.withoutRotary());
    decoder
        .names(Gemma2.NAMES)
        .queryKeyNorms(Norm.OfQueryAndKey.HEADS)
        .attentionScale(Gemma2.scale(json))
        .attentionCap(json.optionalNumber("attn_logit_softcapping", LEAST, MOST))
        .slidingWindow(Gemma2.window(json), sliding)
        .multipliers(
            Gemma.multipliers(
                decoder, json.optionalNumber("final_logit_softcapping", LEAST, MOST).orElse(0)));
    int headDim = json.integer("head_dim", 1, Integer.MAX_VALUE);
    int maxPositions = decoder.maxPositions();
    Rope full = config.ropeOfType(false, headDim, maxPositions, () -> full(config, maxPositions));
    Rope local = config.ropeOfType(true, headDim, maxPositions, () -> Rope.plain(local(json)));
    return decoder
        .rope(Optional.of(full), layer -> !sliding.test(layer))
        .rope(Optional.of(local), sliding)
        .build();
  }

  private static Rope full(ConfigFile config, int maxPositions) {
    Rope read = config.rope(maxPositions);
    OptionalDouble theta = config.json().optionalNumber("rope_theta", 1.0001, MOST);
    return new Rope(theta.orElse(THETA), read.scaling(), read.part());
  }

  private static double local(JsonFile json) {
    return json.optionalNumber("rope_local_base_freq", 1.0001, MOST).orElse(LOCAL_THETA);
  }
}
