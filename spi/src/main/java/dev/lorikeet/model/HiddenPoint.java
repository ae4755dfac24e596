package dev.lorikeet.model;

/** Where in the forward pass hidden states can be observed; rows are as wide as the model. */
public enum HiddenPoint {
  /** The embeddings, before the first layer: what token routers see. */
  EMBEDDING,
  /** The input of each layer's attention block, after its norm: what layer routers see. */
  LAYER_INPUT,
  /** The final hidden states, after the last norm: what the output matrix is multiplied with. */
  FINAL
}
