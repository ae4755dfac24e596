package dev.lorikeet.host.router;

import java.util.Map;
import java.util.function.Predicate;

/** Checks of router options. */
final class RouterOptions {
  private RouterOptions() {}

  static void refuseUnknown(Map<String, String> options, Predicate<String> known, String router) {
    for (String key : options.keySet()) {
      if (!known.test(key)) {
        throw new IllegalArgumentException(
            "option '" + key + "': unknown to the router '" + router + "'");
      }
    }
  }

  static String required(Map<String, String> options, String key, String router) {
    String value = options.get(key);
    if (value == null || value.isBlank()) {
      throw new IllegalArgumentException(
          "option '" + key + "': expected by the router '" + router + "', found none");
    }
    return value;
  }
}
