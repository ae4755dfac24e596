package dev.lorikeet.text.jinja;

import java.util.HashMap;
import java.util.Map;

/** The one thing that a template may change from within a loop. */
final class Namespace {
  private final Map<String, Object> attributes = new HashMap<>();

  Namespace(Arguments arguments) {
    for (Object positional :
        arguments.atMost(1, arguments.named().keySet().toArray(String[]::new)).positional()) {
      if (positional instanceof Map<?, ?> map) {
        Limits.list(2L * map.size());
        map.forEach((key, value) -> attributes.put(Printed.text(key), value));
      }
    }
    attributes.putAll(arguments.named());
  }

  void set(String name, Object value) {
    attributes.put(name, value);
  }

  Object get(String name) {
    Object value = attributes.get(name);
    return value == null
        ? new Values.Undefined("'Namespace object' has no attribute '" + name + "'")
        : value;
  }
}
