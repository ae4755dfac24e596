package dev.lorikeet.routing;

import java.util.List;
import java.util.Map;

/**
 * What a request router may look at.
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
}
