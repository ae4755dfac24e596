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
      case "equalto", "eq" -> Values.areEqual(value, a.require(0, "other"));
      case "sameas" -> value.equals(a.require(0, "other"));
      case "ne" -> !Values.areEqual(value, a.require(0, "other"));
      case "lt", "lessthan" -> Values.compare(value, a.require(0, "other")) < 0;
      case "le" -> Values.compare(value, a.require(0, "other")) <= 0;
      case "gt", "greaterthan" -> Values.compare(value, a.require(0, "other")) > 0;
      case "ge" -> Values.compare(value, a.require(0, "other")) >= 0;
      case "in" -> Values.contains(a.require(0, "seq"), value);
      case "lower" -> isCase(value, Values.text(value).toLowerCase(Locale.ROOT));
      case "upper" -> isCase(value, Values.text(value).toUpperCase(Locale.ROOT));
      default -> throw JinjaException.evaluation("No test named '" + name + "'.");
    };
  }

  private static boolean isCase(Object value, String changed) {
    String text = Values.text(value);
    return text.equals(changed)
        && !text.toLowerCase(Locale.ROOT).equals(text.toUpperCase(Locale.ROOT));
  }
}
