package dev.lorikeet.files.model;

import java.util.Map;
import java.util.Optional;

/**
 * What the tensors of a model are called. Names of a layer's tensors follow its {@link #layer};
 * those of linear layers are with the shape, since adapters have them too.
 *
 * @param embedding the token embedding
 * @param positions the embedding of positions, where the model has one
 * @param output the output matrix, where it is not the embedding
 * @param finalNorm the norm behind the last layer, without {@code .weight}
 * @param layers what the names of all layers begin with, before the number
 * @param norms the norms of a layer, without {@code .weight}
 * @param queryNorm the norm of q
 * @param keyNorm the norm of k
 * @param transposed whether matrices of linear layers are stored {@code [in, out]}
 */
public record TensorNames(
    String embedding,
    Optional<String> positions,
    String output,
    String finalNorm,
    String layers,
    Map<Norm.Place, String> norms,
    String queryNorm,
    String keyNorm,
    boolean transposed) {
  /** Those of Llama, which most families have taken over. */
  public static final TensorNames LLAMA =
      new TensorNames(
          "model.embed_tokens.weight",
          Optional.empty(),
          "lm_head.weight",
          "model.norm",
          "model.layers.",
          Map.of(
              Norm.Place.ATTENTION_INPUT, "input_layernorm",
              Norm.Place.MLP_INPUT, "post_attention_layernorm"),
          "self_attn.q_norm.weight",
          "self_attn.k_norm.weight",
          false);

  public TensorNames {
    norms = Map.copyOf(norms);
  }

  /** Returns the same names but for the norms of layers. */
  public TensorNames withNorms(Map<Norm.Place, String> ofLayers) {
    return new TensorNames(
        embedding, positions, output, finalNorm, layers, ofLayers, queryNorm, keyNorm, transposed);
  }

  /** Returns the same names where matrices are stored {@code [out, in]}. */
  TensorNames byRows() {
    return new TensorNames(
        embedding, positions, output, finalNorm, layers, norms, queryNorm, keyNorm, false);
  }

  /** Returns what the names of a layer's tensors begin with. */
  public String layer(int layer) {
    return layers + layer + ".";
  }
}
