package dev.lorikeet.plugin;

/**
 * What every provider says of itself. Providers are found by {@link java.util.ServiceLoader} under
 * the provider interface of their contract, listed in {@code META-INF/services} and, for modules,
 * in {@code provides}. They need a public constructor without parameters, which must do no work.
 *
 * <p>Selection: an application may name a provider; then exactly that one is used, or the call
 * fails with the provider's reason. Without a name the available provider with the highest {@link
 * #priority()} is used; among equals the one whose name comes first in {@link String#compareTo}
 * order.
 *
 * <p>All methods may be called from any thread, more than once, and must not throw: discovery lists
 * a provider that throws as {@link Availability.Failed}.
 */
public interface PluginProvider {
  /**
   * Returns the name by which applications choose this provider: lower case letters, digits and
   * hyphens, unique within its contract.
   */
  String name();

  /**
   * Returns the priority among available providers; the higher is preferred. Built-in providers use
   * 0 to 100.
   */
  default int priority() {
    return 0;
  }

  /**
   * Returns whether this provider can work on this machine. Must be quick, must not throw, and must
   * release what it probes. The answer is {@link Availability.Available} or {@link
   * Availability.Unavailable}.
   */
  Availability availability();
}
