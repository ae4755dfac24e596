package dev.lorikeet.model;

import dev.lorikeet.routing.Mixture;
import java.util.Optional;

/**
 * One generated token.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param index its number in this generation, from 0
 * @param id the token id
 * @param text the text that became certain with this token: empty while a character or a possible
 *     stop string is incomplete; what is held back at the end comes with the last token
 * @param logProbability the natural logarithm of the token's probability under the model, before
 *     temperature and filters
 * @param mixture the adapters that computed the logits from which the token was drawn, empty unless
 *     the request asked for it ({@link GenerationRequest#reportMixture}): the decision on the token
 *     before this one; of a layer router the mean of its weights over the layers
 */
public record GeneratedToken(
    int index, int id, String text, float logProbability, Optional<Mixture> mixture) {
  /** Returns a token of a request that did not ask for the mixture. */
  public static GeneratedToken of(int index, int id, String text, float logProbability) {
    return of(index, id, text, logProbability, Optional.empty());
  }

  /** Returns a token and the mixture that computed it, if the request asked for it. */
  public static GeneratedToken of(
      int index, int id, String text, float logProbability, Optional<Mixture> mixture) {
    return new GeneratedToken(index, id, text, logProbability, mixture);
  }
}
