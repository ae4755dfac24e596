package dev.lorikeet.model;

import java.time.Duration;

/**
 * What a generation took.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
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
    Duration total) {

  /** Returns a builder of a usage of nothing unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /** Builds usages. */
  public static final class Builder {
    private int promptTokens;
    private int generatedTokens;
    private Duration queued = Duration.ZERO;
    private Duration timeToFirstToken = Duration.ZERO;
    private Duration total = Duration.ZERO;

    private Builder() {}

    /** Sets how many tokens the prompt has. */
    public Builder promptTokens(int value) {
      promptTokens = value;
      return this;
    }

    /** Sets how many tokens were drawn. */
    public Builder generatedTokens(int value) {
      generatedTokens = value;
      return this;
    }

    /** Sets the time until the first prompt token was computed. */
    public Builder queued(Duration value) {
      queued = value;
      return this;
    }

    /** Sets the time until the first token was drawn. */
    public Builder timeToFirstToken(Duration value) {
      timeToFirstToken = value;
      return this;
    }

    /** Sets the time until the last token was drawn. */
    public Builder total(Duration value) {
      total = value;
      return this;
    }

    /** Returns the usage. */
    public Usage build() {
      return new Usage(promptTokens, generatedTokens, queued, timeToFirstToken, total);
    }
  }
}
