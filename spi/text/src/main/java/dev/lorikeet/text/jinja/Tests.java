package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Undefined;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;

/** What may follow {@code is}. */
final class Tests {
  private static final Set<String> NAMES =
      Set.of(
          "defined",
          "undefined",
          "none",
          "true",
          "false",
          "boolean",
          "string",
          "number",
          "integer",
          "float",
          "mapping",
          "sequence",
          "iterable",
          "callable",
          "odd",
          "even",
          "divisibleby",
          "equalto",
          "eq",
          "sameas",
          "ne",
          "lt",
          "lessthan",
          "le",
          "gt",
          "greaterthan",
          "ge",
          "in",
          "lower",
          "upper");

  private Tests() {}

  /** Returns the name of a test, which must be one. */
  static String checked(String name, TokenStream stream) {
    if (!NAMES.contains(name)) {
      throw stream.unexpected("a supported test instead of '" + name + "' before this");
    }
    return name;
  }

  static boolean exists(String name) {
    return NAMES.contains(name);
  }

  static boolean holds(String name, Object value, Arguments a) {
    return switch (name) {
      case "defined" -> !(value instanceof Undefined);
      case "undefined" -> value instanceof Undefined;
      case "none" -> Values.isNone(value);
      case "true" -> value.equals(true);
      case "false" -> value.equals(false);
      case "boolean" -> value instanceof Boolean;
      case "string" -> value instanceof String;
      case "number" -> Values.isNumber(value);
      case "integer" -> value instanceof Long;
      case "float" -> value instanceof Double;
      case "mapping" -> value instanceof Map;
      case "sequence", "iterable" ->
          value instanceof String
              || value instanceof List
              || value instanceof Map
              || value instanceof Undefined;
      case "callable" -> value instanceof Values.Callable || value instanceof Undefined;
      case "odd" -> Operators.apply("%", value, 2L).equals(1L);
      case "even" -> Operators.apply("%", value, 2L).equals(0L);
      case "divisibleby" -> Operators.apply("%", value, a.require(0, "num")).equals(0L);
      case "equalto", "eq" -> Order.areEqual(value, a.require(0, "other"));
      case "sameas" -> Order.areSame(value, a.require(0, "other"));
      case "ne" -> !Order.areEqual(value, a.require(0, "other"));
      case "lt", "lessthan" -> Order.compare(value, a.require(0, "other")) < 0;
      case "le" -> Order.compare(value, a.require(0, "other")) <= 0;
      case "gt", "greaterthan" -> Order.compare(value, a.require(0, "other")) > 0;
      case "ge" -> Order.compare(value, a.require(0, "other")) >= 0;
      case "in" -> Order.contains(a.require(0, "seq"), value);
      case "lower" -> isCase(Printed.text(value), false);
      case "upper" -> isCase(Printed.text(value), true);
      default -> throw JinjaException.evaluation("No test named '" + name + "'.");
    };
  }

  private static boolean isCase(String text, boolean upper) {
    String lower = Limits.written(text.toLowerCase(Locale.ROOT));
    String capitals = Limits.written(text.toUpperCase(Locale.ROOT));
    return text.equals(upper ? capitals : lower) && !lower.equals(capitals);
  }
}
