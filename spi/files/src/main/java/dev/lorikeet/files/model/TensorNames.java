package dev.lorikeet.files.model;

import dev.lorikeet.shape.Projection;

/**
 * What the tensors of a model are called. Names of a layer's tensors follow its {@link #layer}.
 *
 * @param embedding the token embedding
 * @param output the output matrix, where it is not the embedding
 * @param finalNorm the norm behind the last layer
 * @param layers what the names of all layers begin with, before the number
 * @param inputNorm the norm before attention
 * @param postAttentionNorm the norm before the MLP
 * @param queryNorm the norm of each head of q
 * @param keyNorm the norm of each head of k
 */
public record TensorNames(
    String embedding,
    String output,
    String finalNorm,
    String layers,
    String inputNorm,
    String postAttentionNorm,
    String queryNorm,
    String keyNorm) {
  /** Those of Llama, which most families have taken over. */
  public static final TensorNames LLAMA =
      new TensorNames(
          "model.embed_tokens.weight",
          "lm_head.weight",
          "model.norm.weight",
          "model.layers.",
          "input_layernorm.weight",
          "post_attention_layernorm.weight",
          "self_attn.q_norm.weight",
          "self_attn.k_norm.weight");

  /** Returns what the names of a layer's tensors begin with. */
  public String layer(int layer) {
    return layers + layer + ".";
  }

  /** Returns the name of a projection within its layer, before {@code .weight} or {@code .bias}. */
  public String projection(Projection projection) {
    return projection.path();
  }
}
