package dev.lorikeet.files.gguf;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.files.model.TensorNames;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames;
import dev.lorikeet.shape.Projection;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What GGUF files call the tensors of an architecture.
 *
 * @param architecture of the model
 */
record GgufNames(Architecture architecture) {
  /**
   * One tensor that the architecture calls for.
   *
   * @param name its name there
   * @param stored its name in the file
   * @param rotatedHeads how many heads its rows belong to that are rotated; 0 if none are
   */
  record Place(String name, String stored, int rotatedHeads) {}

  /** Returns what a projection is called, within a layer if it is of one. */
  static String projection(Projection projection) {
    return switch (projection) {
      case Q -> "attn_q";
      case K -> "attn_k";
      case V -> "attn_v";
      case O -> "attn_output";
      case GATE -> "ffn_gate";
      case UP -> "ffn_up";
      case DOWN -> "ffn_down";
      case ROUTER -> "ffn_gate_inp";
      case EMBED -> "token_embd";
      case LM_HEAD -> "output";
    };
  }

  /** Returns what a module is called within a layer. */
  static String module(ModuleNames.Module module) {
    return switch (module.parts().getFirst()) {
      case Q -> module.parts().size() > 1 ? "attn_qkv" : "attn_q";
      case GATE -> module.parts().size() > 1 ? "ffn_up" : "ffn_gate";
      default -> projection(module.parts().getFirst());
    };
  }

  /**
   * Returns which row of a file holds a row of q or k where the file has neighbours turned.
   *
   * @param row of all heads, as Hugging Face orders them
   * @param ofHead how many rows a head has
   */
  static long storedRow(long row, long ofHead) {
    long within = row % ofHead;
    long half = ofHead / 2;
    return row - within + within % half * 2 + within / half;
  }

  /**
   * Returns which row of q or k a row of such a file is; the inverse of {@link #storedRow}.
   *
   * @param stored of all heads, as the file orders them
   * @param ofHead how many rows a head has
   */
  static int rowOf(int stored, int ofHead) {
    int within = stored % ofHead;
    return stored - within + within % 2 * (ofHead / 2) + within / 2;
  }

  /** Returns how many heads the rows of a module belong to, 0 where they are not rotated. */
  static int rotatedHeads(ModelShape shape, ModuleNames.Module module) {
    if (module.parts().size() > 1) {
      return 0;
    }
    return switch (module.parts().getFirst()) {
      case Q -> shape.heads();
      case K -> shape.kvHeads();
      default -> 0;
    };
  }

  private static String norm(Norm.Place place) {
    return switch (place) {
      case ATTENTION_INPUT -> "attn_norm";
      case ATTENTION_OUTPUT -> "post_attention_norm";
      case MLP_INPUT -> "ffn_norm";
      case MLP_OUTPUT -> "post_ffw_norm";
    };
  }

  /** Returns all tensors but those of experts. */
  List<Place> places() {
    List<Place> places = new ArrayList<>();
    TensorNames names = architecture.names();
    add(places, names.embedding(), "token_embd.weight");
    names.positions().ifPresent(name -> add(places, name, "position_embd.weight"));
    if (!architecture.tiedEmbeddings()) {
      add(places, names.output(), "output.weight");
    }
    addNorm(places, names.finalNorm(), "output_norm");
    for (int layer = 0; layer < architecture.shape().layers(); layer++) {
      addLayer(places, names.layer(layer), "blk." + layer + ".");
    }
    return places;
  }

  private void addLayer(List<Place> places, String prefix, String stored) {
    TensorNames names = architecture.names();
    ModelShape shape = architecture.shape();
    for (ModuleNames.Module module : shape.modules().modules()) {
      String name = prefix + module.path();
      String there = stored + module(module);
      int heads = rotatedHeads(shape, module);
      places.add(new Place(name + ".weight", there + ".weight", heads));
      if (architecture.biased().containsAll(module.parts())) {
        places.add(new Place(name + ".bias", there + ".bias", heads));
      }
    }
    for (Norm.Place place : Norm.Place.values()) {
      Optional.ofNullable(names.norms().get(place))
          .ifPresent(name -> addNorm(places, prefix + name, stored + norm(place)));
    }
    if (architecture.attention().norms() != Norm.OfQueryAndKey.NONE) {
      add(places, prefix + names.queryNorm(), stored + "attn_q_norm.weight");
      add(places, prefix + names.keyNorm(), stored + "attn_k_norm.weight");
    }
    architecture
        .experts()
        .ifPresent(
            experts -> add(places, prefix + experts.router(), stored + "ffn_gate_inp.weight"));
  }

  private void addNorm(List<Place> places, String name, String stored) {
    add(places, name + ".weight", stored + ".weight");
    if (architecture.norm().kind() == Norm.Kind.LAYER) {
      add(places, name + ".bias", stored + ".bias");
    }
  }

  private static void add(List<Place> places, String name, String stored) {
    places.add(new Place(name, stored, 0));
  }
}
