package dev.lorikeet.host.step;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.tensor.Tensor;

/**
 * Tells the decoder which adapters the tokens of a step use, and sees the hidden states that it
 * asks for. Called on the decoding thread, in the order of the methods.
 */
public interface StepAdapters {
  /**
   * Decides for all tokens, before the first layer.
   *
   * @param embeddings {@code [>= tokens, hidden]}, F32; only read
   * @return the batch for all layers, unless {@link #perLayer()}
   */
  LoraBatch beforeLayers(Tensor embeddings);

  /**
   * Returns for how many steps the sequences of this one will keep their adapters, this one
   * included: an estimate. 0 if nobody knows, since a router chooses at every token.
   */
  int stepsToCome();

  /** Returns whether {@link #layerInput} wants the inputs of the layers. */
  boolean wantsLayerInputs();

  /**
   * Shows the inputs of one layer, before {@link #atLayer}.
   *
   * @param layer the layer
   * @param normed {@code [>= tokens, hidden]}, F32: the input of the attention block after its
   *     norm; only read
   */
  void layerInput(int layer, Tensor normed);

  /**
   * Returns whether some token's adapters differ by layer; then {@link #atLayer} is asked for every
   * layer.
   */
  boolean perLayer();

  /**
   * Decides for one layer.
   *
   * @param layer the layer
   * @param normed {@code [>= tokens, hidden]}, F32: the input of the attention block after its
   *     norm; only read
   */
  LoraBatch atLayer(int layer, Tensor normed);

  /** Returns whether {@link #afterLayers} wants the final hidden states. */
  boolean wantsFinalHidden();

  /**
   * Shows the final hidden states, after the last norm.
   *
   * @param hidden {@code [>= tokens, hidden]}, F32; only read
   */
  void afterLayers(Tensor hidden);
}
