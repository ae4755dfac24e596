package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A request to continue a prompt: plain data, fit to be sent to another process. What watches it
 * while it runs is a {@link RequestObserver}.
 *
 * <p>Make one with a builder: the canonical constructor may gain parameters.
 *
 * @param prompt what to continue
 * @param adapter which adapters to use
 * @param sampling how tokens are drawn
 * @param stop when to end
 * @param tenant on whose account the request runs; empty if it does not matter
 * @param priority requests of higher priority are admitted first; 0 by default
 * @param timeout how long the request may take from submission to its last token; empty for no
 *     limit
 * @param attributes anything that a router may want to know, such as a language
 * @param reportMixture whether each token comes with the mixture of adapters that computed it;
 *     false by default, and then nothing is spent on it
 */
public record GenerationRequest(
    Prompt prompt,
    AdapterChoice adapter,
    Sampling sampling,
    StopConditions stop,
    String tenant,
    int priority,
    Optional<Duration> timeout,
    Map<String, String> attributes,
    boolean reportMixture) {

  /** How many tokens are generated unless a request says otherwise. */
  public static final int DEFAULT_MAX_TOKENS = 256;

  public GenerationRequest {
    attributes = Map.copyOf(attributes);
    if (timeout.isPresent() && (timeout.get().isNegative() || timeout.get().isZero())) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "timeout: expected more than zero, found " + timeout.get());
    }
  }

  /** Returns a builder for a text prompt. */
  public static Builder text(String text) {
    return new Builder(new Prompt.Text(text));
  }

  /** Returns a builder for a conversation without tools. */
  public static Builder chat(Prompt.ChatMessage... messages) {
    return new Builder(Prompt.Chat.of(messages));
  }

  /** Returns a builder for a prompt of token ids. */
  public static Builder tokens(List<Integer> tokens) {
    return new Builder(new Prompt.Tokens(tokens));
  }

  /** Returns a builder for any prompt. */
  public static Builder prompt(Prompt prompt) {
    return new Builder(prompt);
  }

  /** Returns a builder for requests like this one. */
  public Builder toBuilder() {
    Builder builder = new Builder(prompt);
    builder.adapter = adapter;
    builder.sampling = sampling;
    builder.stop = stop;
    builder.tenant = tenant;
    builder.priority = priority;
    builder.timeout = timeout;
    builder.attributes.putAll(attributes);
    builder.reportMixture = reportMixture;
    return builder;
  }

  /**
   * Builds requests: the base model, greedy, {@value #DEFAULT_MAX_TOKENS} tokens unless told
   * otherwise.
   */
  public static final class Builder {
    private final Prompt prompt;
    private AdapterChoice adapter = AdapterChoice.none();
    private Sampling sampling = Sampling.greedy();
    private StopConditions stop = StopConditions.maxTokens(DEFAULT_MAX_TOKENS);
    private String tenant = "";
    private int priority;
    private Optional<Duration> timeout = Optional.empty();
    private final Map<String, String> attributes = new HashMap<>();
    private boolean reportMixture;

    private Builder(Prompt prompt) {
      this.prompt = prompt;
    }

    /** Uses one adapter. */
    public Builder adapter(String name) {
      return adapter(AdapterChoice.named(name));
    }

    /** Uses what a router decides. */
    public Builder router(String name) {
      return adapter(AdapterChoice.routed(name));
    }

    /** Uses any choice of adapters. */
    public Builder adapter(AdapterChoice choice) {
      adapter = choice;
      return this;
    }

    /** Sets how tokens are drawn. */
    public Builder sampling(Sampling value) {
      sampling = value;
      return this;
    }

    /** Sets when to end. */
    public Builder stop(StopConditions value) {
      stop = value;
      return this;
    }

    /** Sets how many tokens are generated at most. */
    public Builder maxTokens(int maxTokens) {
      return stop(stop.withMaxTokens(maxTokens));
    }

    /** Ends the generation at any of these texts. */
    public Builder stopAt(String... strings) {
      return stop(stop.withStrings(List.of(strings)));
    }

    /** Sets the tenant. */
    public Builder tenant(String value) {
      tenant = value;
      return this;
    }

    /** Sets the priority. */
    public Builder priority(int value) {
      priority = value;
      return this;
    }

    /** Limits the time from submission to the last token. */
    public Builder timeout(Duration value) {
      timeout = Optional.of(value);
      return this;
    }

    /** Adds an attribute for routers. */
    public Builder attribute(String key, String value) {
      attributes.put(key, value);
      return this;
    }

    /** Lets each token come with the mixture of adapters that computed it. */
    public Builder reportMixture() {
      return reportMixture(true);
    }

    /** Sets whether each token comes with the mixture of adapters that computed it. */
    public Builder reportMixture(boolean value) {
      reportMixture = value;
      return this;
    }

    /** Returns the request. */
    public GenerationRequest build() {
      return new GenerationRequest(
          prompt, adapter, sampling, stop, tenant, priority, timeout, attributes, reportMixture);
    }
  }
}
