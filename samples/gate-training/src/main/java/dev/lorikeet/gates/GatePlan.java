package dev.lorikeet.gates;

import dev.lorikeet.routing.RunningContext;
import java.util.Locale;

/**
 * How to train a gate.
 *
 * @param scope where the gate decides
 * @param targets what the gate learns to predict
 * @param context what the gate sees beside a token's embedding; none for the scope of layers
 * @param topK how many adapters a token uses
 * @param inner width of an inner layer, 0 for none
 * @param epochs passes over the training documents
 * @param rate the learning rate at the beginning
 * @param mixing how training documents are mixed from passages
 * @param validation the share of each text that is kept for validation
 * @param seed for the mixing, the first weights and the order of documents
 */
public record GatePlan(
    Scope scope,
    Targets targets,
    RunningContext context,
    int topK,
    int inner,
    int epochs,
    double rate,
    MixedDocument.Mixing mixing,
    double validation,
    long seed) {
  /** Where a gate decides. */
  public enum Scope {
    /** Once per token, before the first layer, for all layers. */
    TOKEN,
    /** Per token at every layer, which has a gate of its own. */
    LAYER;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** What a gate learns to predict of a token. */
  public enum Targets {
    /**
     * Which adapter finds the next token likeliest; the loss is a mixture's language-model loss.
     */
    LIKELIHOOD,
    /** Which adapter's text the token is from. */
    LABELS;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }
}
