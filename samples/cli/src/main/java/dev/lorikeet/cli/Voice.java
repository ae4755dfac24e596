package dev.lorikeet.cli;

import dev.lorikeet.model.AdapterChoice;
import org.jspecify.annotations.Nullable;

/**
 * A choice of adapters, and what to call it.
 *
 * @param label what to call it
 * @param choice the choice
 */
record Voice(String label, AdapterChoice choice) {
  static Voice base() {
    return new Voice("base", new AdapterChoice.None());
  }

  static Voice adapter(String name) {
    return new Voice(name, new AdapterChoice.Named(name));
  }

  static Voice router(String name) {
    return new Voice("router " + name, new AdapterChoice.Routed(name));
  }

  /** Returns the one adapter of this voice, for JSON; null if it is not one adapter. */
  @Nullable String adapter() {
    return choice instanceof AdapterChoice.Named named ? named.adapter() : null;
  }
}
