package dev.lorikeet.host.router;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RunningContext;

/**
 * What a gate is, without its parameters. A token's features are its hidden state, followed by its
 * running context if there is one.
 *
 * @param experts the adapters in the order of the logits, and how many a token uses
 * @param context the second half of the features; none for a gate of layers
 * @param layers how many gates there are, one for each layer of the model; 0 for one gate of tokens
 * @param hidden width of a hidden state
 * @param inner width of the inner layer, 0 without one
 */
record GateShape(Experts experts, RunningContext context, int layers, int hidden, int inner) {
  /** Returns how many features a decision is made from. */
  int features() {
    return context instanceof RunningContext.None ? hidden : 2 * hidden;
  }

  /** Returns how many inputs the last product has. */
  int lastInputs() {
    return inner > 0 ? inner : features();
  }
}
