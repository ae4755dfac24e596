package dev.lorikeet.routing;

import dev.lorikeet.shape.ModelInfo;
import java.util.Map;

/**
 * How to open a router.
 *
 * @param model the base model that it will route for
 * @param options settings of the router; an unknown key is refused
 */
public record RouterConfig(ModelInfo model, Map<String, String> options) {
  public RouterConfig {
    options = Map.copyOf(options);
  }
}
