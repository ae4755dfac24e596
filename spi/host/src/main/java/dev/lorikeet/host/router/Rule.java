package dev.lorikeet.host.router;

import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Adapters for the requests that meet all of some conditions.
 *
 * @param name how errors call the rule
 * @param conditions all of which must hold; none for every request
 * @param use what such a request uses
 */
record Rule(String name, List<Condition> conditions, Mixture use) {
  /**
   * Returns whether a request is meant.
   *
   * @throws IllegalStateException that names the rule, if a pattern takes too long
   */
  boolean meets(RequestContext context) {
    try {
      return conditions.stream().allMatch(condition -> condition.holds(context));
    } catch (IllegalStateException e) {
      throw new IllegalStateException("rule '" + name + "': " + e.getMessage(), e);
    }
  }

  /**
   * Returns what the request uses.
   *
   * @throws IllegalStateException that names the rule, if an adapter is not registered
   */
  Mixture chosen(RequestContext context) {
    for (Mixture.Share share : use.shares()) {
      if (Collections.binarySearch(context.adapters(), share.adapter()) < 0) {
        throw new IllegalStateException(
            "rule '" + name + "': adapter '" + share.adapter() + "' is not registered");
      }
    }
    return use;
  }

  /**
   * Reads a mixture: empty for the base model, {@code NAME}, or {@code NAME=WEIGHT,NAME=WEIGHT}.
   *
   * @throws IllegalArgumentException that tells what was found
   */
  static Mixture mixture(String text) {
    if (text.isBlank()) {
      return Mixture.none();
    }
    List<Mixture.Share> shares = new ArrayList<>();
    for (String part : text.split(",")) {
      int equals = part.lastIndexOf('=');
      String adapter = (equals < 0 ? part : part.substring(0, equals)).strip();
      if (adapter.isEmpty()) {
        throw new IllegalArgumentException(
            "'use': expected NAME or NAME=WEIGHT,…, found '" + text + "'");
      }
      shares.add(new Mixture.Share(adapter, equals < 0 ? 1f : weight(part.substring(equals + 1))));
    }
    return new Mixture(shares);
  }

  private static float weight(String text) {
    try {
      return Float.parseFloat(text.strip());
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException("'use': expected a weight, found '" + text + "'", e);
    }
  }
}
