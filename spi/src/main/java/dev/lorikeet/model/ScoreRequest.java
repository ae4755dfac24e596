package dev.lorikeet.model;

/**
 * A request for the log-probabilities of given tokens.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param prompt the tokens to score; text is encoded as for generation
 * @param adapter which adapters to use
 */
public record ScoreRequest(Prompt prompt, AdapterChoice adapter) {

  /** Returns a request for the log-probabilities of a prompt's tokens. */
  public static ScoreRequest of(Prompt prompt, AdapterChoice adapter) {
    return new ScoreRequest(prompt, adapter);
  }
}
