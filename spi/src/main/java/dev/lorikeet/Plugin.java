package dev.lorikeet;

import dev.lorikeet.plugin.Availability;

/**
 * One provider that discovery found, whether it can be used or not.
 *
 * @param kind the contract it is for
 * @param name the provider's name; its class name if it could not be asked
 * @param priority the provider's priority, 0 if it could not be asked
 * @param className the class that {@code META-INF/services} names; empty if not even that could be
 *     read
 * @param location the jar, folder or module it came from; empty if unknown
 * @param availability whether it can be used, and why
 */
public record Plugin(
    PluginKind kind,
    String name,
    int priority,
    String className,
    String location,
    Availability availability) {
  /** Returns whether the provider can be used. */
  public boolean isAvailable() {
    return availability instanceof Availability.Available;
  }

  /** Returns whether the provider could not be loaded, or failed when it was asked. */
  public boolean isFailed() {
    return availability instanceof Availability.Failed;
  }
}
