package dev.lorikeet.routing;

import java.util.List;
import java.util.Map;

/**
 * What a request router may look at.
 *
 * <p>Make one with {@link #builder}: the canonical constructor may gain parameters.
 *
 * @param text the prompt as text; for a chat after the template was applied; empty if the request
 *     came as token ids
 * @param tokens the prompt's token ids
 * @param tenant the tenant of the request, empty if it named none
 * @param attributes the request's own attributes, such as a language
 * @param adapters the names of the registered adapters, sorted
 */
public record RequestContext(
    String text,
    List<Integer> tokens,
    String tenant,
    Map<String, String> attributes,
    List<String> adapters) {
  public RequestContext {
    tokens = List.copyOf(tokens);
    attributes = Map.copyOf(attributes);
    adapters = List.copyOf(adapters);
  }

  /** Returns a builder; everything is empty unless told otherwise. */
  public static Builder builder() {
    return new Builder();
  }

  /** Builds contexts. */
  public static final class Builder {
    private String text = "";
    private List<Integer> tokens = List.of();
    private String tenant = "";
    private Map<String, String> attributes = Map.of();
    private List<String> adapters = List.of();

    private Builder() {}

    /** Sets the prompt as text. */
    public Builder text(String value) {
      text = value;
      return this;
    }

    /** Sets the prompt as token ids. */
    public Builder tokens(List<Integer> value) {
      tokens = value;
      return this;
    }

    /** Sets on whose account the request runs. */
    public Builder tenant(String value) {
      tenant = value;
      return this;
    }

    /** Sets what the request says of itself. */
    public Builder attributes(Map<String, String> value) {
      attributes = value;
      return this;
    }

    /** Sets the names that may be chosen. */
    public Builder adapters(List<String> value) {
      adapters = value;
      return this;
    }

    /** Returns the context. */
    public RequestContext build() {
      return new RequestContext(text, tokens, tenant, attributes, adapters);
    }
  }
}
