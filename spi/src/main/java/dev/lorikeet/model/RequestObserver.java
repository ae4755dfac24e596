package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What watches a request in the process that submitted it; a {@link GenerationRequest} itself is
 * plain data. Everything is called on the decoding thread, in the order of the request's tokens,
 * and must be quick and not block: all requests wait meanwhile. What throws fails its own request
 * with code {@code INVALID_REQUEST}; a call that waits for the decoding thread, such as {@link
 * BaseModel#close} or {@link Generation#await}, throws with code {@code WRONG_THREAD}, while
 * submitting and cancelling are free. Subscribers of a {@link Generation}, and what depends on its
 * future, run on threads of their own and may do all of this. Nothing is spent on what is not
 * observed. Immutable.
 *
 * <pre>{@code
 * model.submit(request, RequestObserver.tokens(token -> out.print(token.text())));
 * }</pre>
 */
public final class RequestObserver {
  private static final RequestObserver NONE = new Builder().build();

  private final Optional<Consumer<GeneratedToken>> onToken;
  private final Optional<LogitsObserver> onLogits;
  private final Optional<HiddenObserver> onHidden;
  private final Set<HiddenPoint> hiddenPoints;

  private RequestObserver(Builder builder) {
    onToken = builder.onToken;
    onLogits = builder.onLogits;
    onHidden = builder.onHidden;
    hiddenPoints = builder.hiddenPoints;
  }

  /** Returns an observer of nothing. */
  public static RequestObserver none() {
    return NONE;
  }

  /** Returns an observer of the tokens alone. */
  public static RequestObserver tokens(Consumer<GeneratedToken> consumer) {
    return builder().onToken(consumer).build();
  }

  /** Returns an observer of the logits alone. */
  public static RequestObserver logits(LogitsObserver observer) {
    return builder().onLogits(observer).build();
  }

  /**
   * Returns an observer of hidden states alone.
   *
   * @param points where it wants to see them, at least one
   */
  public static RequestObserver hidden(Set<HiddenPoint> points, HiddenObserver observer) {
    return builder().onHidden(points, observer).build();
  }

  /** Returns a builder for an observer of several things. */
  public static Builder builder() {
    return new Builder();
  }

  /** Returns what is called for each token. */
  public Optional<Consumer<GeneratedToken>> onToken() {
    return onToken;
  }

  /** Returns what sees the logits. */
  public Optional<LogitsObserver> onLogits() {
    return onLogits;
  }

  /** Returns what sees hidden states. */
  public Optional<HiddenObserver> onHidden() {
    return onHidden;
  }

  /** Returns where hidden states are to be seen; none if nobody sees them. */
  public Set<HiddenPoint> hiddenPoints() {
    return hiddenPoints;
  }

  /** Builds observers: of nothing unless told otherwise. */
  public static final class Builder {
    private Optional<Consumer<GeneratedToken>> onToken = Optional.empty();
    private Optional<LogitsObserver> onLogits = Optional.empty();
    private Optional<HiddenObserver> onHidden = Optional.empty();
    private Set<HiddenPoint> hiddenPoints = Set.of();

    private Builder() {}

    /** Calls back for each token. */
    public Builder onToken(Consumer<GeneratedToken> consumer) {
      onToken = Optional.of(consumer);
      return this;
    }

    /** Shows the logits from which each token is drawn. */
    public Builder onLogits(LogitsObserver observer) {
      onLogits = Optional.of(observer);
      return this;
    }

    /**
     * Shows hidden states.
     *
     * @param points where, at least one
     */
    public Builder onHidden(Set<HiddenPoint> points, HiddenObserver observer) {
      if (points.isEmpty()) {
        throw new LorikeetException(
            Code.INVALID_REQUEST, "points: expected at least one, found none");
      }
      hiddenPoints = Collections.unmodifiableSet(EnumSet.copyOf(points));
      onHidden = Optional.of(observer);
      return this;
    }

    /** Returns the observer. */
    public RequestObserver build() {
      return new RequestObserver(this);
    }
  }
}
