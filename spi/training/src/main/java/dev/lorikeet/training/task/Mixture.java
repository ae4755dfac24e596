package dev.lorikeet.training.task;

import dev.lorikeet.routing.RunningContext;
import java.util.OptionalDouble;

/**
 * Several adapters that are learned together with the gate that mixes them, as in LoRA-Switch (Kong
 * et al., arXiv 2405.17741): one decision per token before the first layer, used by all layers; the
 * weights are the softmax over the logits of the chosen.
 *
 * <p>To the loss of the objective comes {@code loadBalancing * experts * sum over e of f(e) P(e)}
 * (Switch Transformer, Fedus et al., arXiv 2101.03961), with f(e) the share of an expert in the
 * choices of a micro-batch's tokens, and P(e) the mean of its probability among all experts: 1
 * where all are used alike. Micro-batches of a step count by their tokens.
 *
 * @param experts how many adapters, at least 2
 * @param topK how many of them a token uses, at least 2, since the weight of one alone is always 1
 *     and tells the gate nothing
 * @param loadBalancing what the balance counts in the loss, 0 or more
 * @param gateLearningRate the largest learning rate of the gate, above 0; that of A if empty
 * @param context what the gate sees beside a token's embedding; not the last hidden state, which is
 *     known of generated tokens alone
 */
public record Mixture(
    int experts,
    int topK,
    double loadBalancing,
    OptionalDouble gateLearningRate,
    RunningContext context) {
  /** Four experts, two for each token, a hundredth of the balance, and embeddings alone. */
  public static final Mixture DEFAULT =
      new Mixture(4, 2, 0.01, OptionalDouble.empty(), new RunningContext.None());

  /** The most experts. */
  static final int MOST = 256;

  public Mixture {
    Ranges.atLeast("experts", experts, 2);
    Ranges.below("experts", experts, MOST + 1);
    Ranges.atLeast("top-k", topK, 2);
    Ranges.below("top-k", topK, experts + 1);
    Ranges.atLeast("load balancing", loadBalancing, 0);
    gateLearningRate.ifPresent(rate -> Ranges.above("gate learning rate", rate, 0));
    if (context instanceof RunningContext.LastHidden) {
      throw new IllegalArgumentException(
          "context of the gate: expected none or the mean embedding, found the last hidden state");
    }
  }
}
