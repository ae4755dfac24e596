package dev.lorikeet.host.router;

import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.Options;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RouterProvider;
import java.util.Map;
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
    Options options =
        Options.of("router plugin 'attribute'", config.options(), ATTRIBUTE, OTHERWISE, WHEN + "*");
    Map<String, Mixture> byValue = new TreeMap<>();
    options.below(WHEN).forEach((value, adapter) -> byValue.put(value, Mixture.of(adapter)));
    Mixture otherwise =
        options.has(OTHERWISE) ? Mixture.of(options.text(OTHERWISE, "")) : Mixture.none();
    return new ByAttribute(options.required(ATTRIBUTE), byValue, otherwise);
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
