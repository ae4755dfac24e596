package dev.lorikeet.jlama.training;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Attention;
import dev.lorikeet.files.model.Mlp;
import dev.lorikeet.files.model.Multipliers;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.Norm.Place;
import dev.lorikeet.jlama.weights.LayerWeights;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** Which architectures the backward knows: Llama's, with norms of heads and a common window. */
final class Learnable {
  private static final Set<Place> NORMS = EnumSet.of(Place.ATTENTION_INPUT, Place.MLP_INPUT);

  private Learnable() {}

  /**
   * Refuses an architecture that cannot be learned over.
   *
   * @param layer a layer of it
   * @throws dev.lorikeet.LorikeetException with code {@code MODEL_UNSUPPORTED}, naming what departs
   */
  static void check(Path directory, Architecture architecture, LayerWeights layer) {
    List<String> found = new ArrayList<>();
    Attention attention = architecture.attention();
    if (architecture.norm().kind() != Norm.Kind.RMS) {
      found.add("LayerNorm");
    }
    for (Place place : Place.values()) {
      if (layer.norm(place).isPresent() != NORMS.contains(place)) {
        found.add("norms behind blocks");
        break;
      }
    }
    if (attention.norms() == Norm.OfQueryAndKey.ROWS) {
      found.add("norms of whole queries");
    }
    if (attention.scale().isPresent()) {
      found.add("scores with a factor of their own");
    }
    if (attention.softCap().isPresent()) {
      found.add("capped scores");
    }
    if (attention.queryScaling().isPresent()) {
      found.add("queries that grow with their positions");
    }
    boolean alike =
        attention.layers().stream().allMatch(l -> l.equals(attention.layers().getFirst()));
    if (!alike) {
      found.add("layers that see or rotate differently");
    }
    if (attention.ropes().isEmpty()) {
      found.add("learned positions");
    }
    if (architecture.experts().isPresent()) {
      found.add("experts");
    }
    if (!architecture.mlp().equals(Mlp.SWI_GLU)) {
      found.add("another MLP than SwiGLU");
    }
    if (!architecture.multipliers().equals(Multipliers.NONE)) {
      found.add("multipliers");
    }
    if (!found.isEmpty()) {
      throw Faults.MODEL.unsupported(
          directory + ": fine-tuning of family '" + architecture.family() + "'",
          "an architecture like Llama's, Mistral's or Qwen's",
          String.join(", ", found));
    }
  }
}
