package dev.lorikeet.cli.options;

import dev.lorikeet.model.AdapterChoice;
import org.jspecify.annotations.Nullable;

/**
 * A choice of adapters, and what to call it.
 *
 * @param label what to call it
 * @param choice the choice
 */
public record Voice(String label, AdapterChoice choice) {
  /** The base model without adapters. */
  public static Voice base() {
    return new Voice("base", AdapterChoice.none());
  }

  /** One adapter. */
  public static Voice adapter(String name) {
    return new Voice(name, AdapterChoice.named(name));
  }

  /** What a router chooses. */
  public static Voice router(String name) {
    return new Voice("router " + name, AdapterChoice.routed(name));
  }

  /** Returns the one adapter of this voice, for JSON; null if it is not one adapter. */
  public @Nullable String adapter() {
    return choice instanceof AdapterChoice.Named named ? named.adapter() : null;
  }
}
