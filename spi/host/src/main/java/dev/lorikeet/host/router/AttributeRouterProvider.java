package dev.lorikeet.host.router;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The router {@code attribute}: an attribute of the request, or its tenant, names the adapter.
 * Options: {@code attribute}, the attribute's name, {@code tenant} for the tenant; {@code
 * when.VALUE}, the adapter for a value; {@code otherwise}, the adapter for all others, without it
 * the base model.
 */
public final class AttributeRouterProvider implements RouterProvider {
  private static final String ATTRIBUTE = "attribute";
  private static final String WHEN = "when.";
  private static final String OTHERWISE = "otherwise";
  private static final String TENANT = "tenant";

  /** For {@link java.util.ServiceLoader}. */
  public AttributeRouterProvider() {}

  @Override
  public String name() {
    return "attribute";
  }

  @Override
  public Availability availability() {
    return Availability.available("by an attribute of the request, request scope");
  }

  @Override
  public Router open(RouterConfig config) {
    Map<String, String> options = config.options();
    RouterOptions.refuseUnknown(
        options,
        key -> key.equals(ATTRIBUTE) || key.equals(OTHERWISE) || key.startsWith(WHEN),
        name());
    Map<String, Mixture> byValue = new TreeMap<>();
    options.forEach(
        (key, adapter) -> {
          if (key.startsWith(WHEN)) {
            byValue.put(key.substring(WHEN.length()), Mixture.of(adapter));
          }
        });
    Mixture otherwise =
        Optional.ofNullable(options.get(OTHERWISE)).map(Mixture::of).orElse(Mixture.none());
    return new ByAttribute(RouterOptions.required(options, ATTRIBUTE, name()), byValue, otherwise);
  }

  private record ByAttribute(String attribute, Map<String, Mixture> byValue, Mixture otherwise)
      implements RequestRouter {
    @Override
    public Mixture route(RequestContext context) {
      String value =
          attribute.equals(TENANT)
              ? context.tenant()
              : context.attributes().getOrDefault(attribute, "");
      return byValue.getOrDefault(value, otherwise);
    }
  }
}
