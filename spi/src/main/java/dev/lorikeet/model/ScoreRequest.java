package dev.lorikeet.model;

/**
 * A request for the log-probabilities of given tokens.
 *
 * @param prompt the tokens to score; text is encoded as for generation
 * @param adapter which adapters to use
 */
public record ScoreRequest(Prompt prompt, AdapterChoice adapter) {}
