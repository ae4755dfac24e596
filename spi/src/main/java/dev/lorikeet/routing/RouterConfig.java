package dev.lorikeet.routing;

import dev.lorikeet.shape.ModelInfo;
import java.util.Map;

/**
 * How to open a router.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param model the base model that it will route for
 * @param options settings of the router; an unknown key is refused
 */
public record RouterConfig(ModelInfo model, Map<String, String> options) {
  public RouterConfig {
    options = Map.copyOf(options);
  }

  /** Returns a configuration without options. */
  public static RouterConfig of(ModelInfo model) {
    return new RouterConfig(model, Map.of());
  }

  /** Returns the same with these settings of the router. */
  public RouterConfig withOptions(Map<String, String> options) {
    return new RouterConfig(model, options);
  }
}
