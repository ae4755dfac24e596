package dev.lorikeet.model;

import java.time.Duration;

/**
 * What a generation took.
 *
 * @param promptTokens tokens of the prompt
 * @param generatedTokens tokens drawn, an end-of-sequence token included
 * @param queued from submission until the first prompt token was computed
 * @param timeToFirstToken from submission until the first token was drawn
 * @param total from submission until the last token was drawn
 */
public record Usage(
    int promptTokens,
    int generatedTokens,
    Duration queued,
    Duration timeToFirstToken,
    Duration total) {}
