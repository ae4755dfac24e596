package dev.lorikeet.routing;

import dev.lorikeet.plugin.PluginProvider;

/**
 * Opens routers. Listed in {@code META-INF/services/dev.lorikeet.routing.RouterProvider}. Requests
 * name a router by its {@link #name()}.
 */
public interface RouterProvider extends PluginProvider {
  /**
   * Opens a router that the caller closes.
   *
   * @throws IllegalArgumentException if an option is unknown, missing or out of range
   */
  Router open(RouterConfig config);
}
