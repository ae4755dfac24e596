package dev.lorikeet.model;

import dev.lorikeet.tensor.Tensor;

/**
 * Sees the hidden states of one request, as they are with the adapters that the request uses. All
 * positions of the prompt are shown, those of a score's last token too, and those of generated
 * tokens but the last, from which nothing is computed: a request with such an observer takes
 * nothing from a prefix cache.
 */
@FunctionalInterface
public interface HiddenObserver {
  /**
   * Called on the decoding thread; must be quick. Positions come in order, some at a time, for each
   * point and layer. When a request was preempted they begin anew: what is shown again is the same.
   *
   * @param point where in the forward pass, one of the points that were asked for
   * @param layer the layer that reads the rows: 0 for {@link HiddenPoint#EMBEDDING}, the number of
   *     layers for {@link HiddenPoint#FINAL}
   * @param firstPosition the position of the first row in the request's own sequence, from 0
   * @param rows {@code [positions, hidden]} F32 in host memory, read-only, valid during the call;
   *     the row stride may be larger than the columns
   */
  void onHidden(HiddenPoint point, int layer, int firstPosition, Tensor rows);
}
