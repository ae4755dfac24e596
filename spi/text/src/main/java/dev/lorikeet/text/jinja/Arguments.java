package dev.lorikeet.text.jinja;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** What a function was called with. */
record Arguments(List<Object> positional, Map<String, Object> named) {

  /** Returns an argument by place or name. */
  Optional<Object> get(int place, String name) {
    return place < positional.size()
        ? Optional.of(positional.get(place))
        : Optional.ofNullable(named.get(name));
  }

  Object get(int place, String name, Object whenAbsent) {
    return get(place, name).orElse(whenAbsent);
  }

  Object require(int place, String name) {
    return get(place, name)
        .orElseThrow(() -> JinjaException.evaluation("expected an argument '" + name + "'"));
  }

  String text(int place, String name) {
    Object value = require(place, name);
    if (value instanceof String s) {
      return s;
    }
    throw JinjaException.evaluation(
        "argument '" + name + "': expected a string, found " + Values.type(value));
  }

  Optional<String> optionalText(int place, String name) {
    return get(place, name).filter(value -> !Values.isNone(value)).map(value -> text(place, name));
  }

  long integer(int place, String name, long whenAbsent) {
    return get(place, name).map(Values::toLong).orElse(whenAbsent);
  }

  boolean bool(int place, String name, boolean whenAbsent) {
    return get(place, name).map(Values::isTrue).orElse(whenAbsent);
  }

  /** Refuses more arguments than are known, so that none is passed over. */
  Arguments atMost(int places, String... names) {
    if (positional.size() > places) {
      throw JinjaException.evaluation(
          "expected at most " + places + " arguments, found " + positional.size());
    }
    if (!named.isEmpty()) {
      Limits.visit(2L * names.length + named.size());
      Set<String> known = new HashSet<>(List.of(names));
      for (String name : named.keySet()) {
        if (!known.contains(name)) {
          throw JinjaException.evaluation(
              "expected one of " + List.of(names) + ", found '" + name + "'");
        }
      }
    }
    return this;
  }
}
