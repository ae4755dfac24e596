package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** What may follow a bar. */
final class Filters {
  private static final Set<String> NAMES =
      Set.of(
          "abs",
          "capitalize",
          "count",
          "d",
          "default",
          "dictsort",
          "e",
          "escape",
          "first",
          "float",
          "format",
          "indent",
          "int",
          "items",
          "join",
          "last",
          "length",
          "list",
          "lower",
          "map",
          "max",
          "min",
          "reject",
          "rejectattr",
          "replace",
          "reverse",
          "round",
          "safe",
          "select",
          "selectattr",
          "sort",
          "string",
          "sum",
          "title",
          "tojson",
          "trim",
          "unique",
          "upper");

  private Filters() {}

  /** Returns the name of a filter, which must be one. */
  static String checked(String name, TokenStream stream) {
    if (!NAMES.contains(name)) {
      throw stream.unexpected("a supported filter instead of '" + name + "' before this");
    }
    return name;
  }

  static Object apply(String name, Object value, Arguments a) {
    return switch (name) {
      case "trim" -> Methods.strip(Values.text(value), a, true, true);
      case "upper" -> Values.text(value).toUpperCase(Locale.ROOT);
      case "lower" -> Values.text(value).toLowerCase(Locale.ROOT);
      case "capitalize" -> Strings.capitalize(Values.text(value));
      case "title" -> title(Values.text(value));
      case "replace" -> Methods.replace(Values.text(value), a);
      case "string" -> Values.text(value);
      case "safe" -> value;
      case "e", "escape" -> escape(Values.text(value));
      case "indent" -> indent(Values.text(value), a);
      case "format" -> Operators.format(Values.text(value), a.positional());
      case "tojson" -> Json.write(value, a);
      case "default", "d" -> orDefault(value, a);
      case "length", "count" -> length(value);
      case "int" -> toInt(value, a.get(0, "default", 0L));
      case "float" -> toFloat(value, a.get(0, "default", 0.0));
      case "abs" -> value instanceof Long l ? (Object) Math.absExact(l) : absolute(value);
      case "round" -> round(value, a);
      default -> ofSequence(name, value, a);
    };
  }

  private static Object ofSequence(String name, Object value, Arguments a) {
    return switch (name) {
      case "list" -> new ArrayList<>(Values.items(value));
      case "items" -> value instanceof Map<?, ?> map ? Methods.pairs(map) : Values.items(value);
      case "first" -> at(Values.items(value), true);
      case "last" -> at(Values.items(value), false);
      case "join" -> {
        List<Object> items = Values.items(value);
        if (a.get(1, "attribute").isPresent()) {
          items = attributes(items, a.require(1, "attribute"));
        }
        yield Methods.join(items, Values.text(a.get(0, "d", "")));
      }
      case "map" -> map(Values.items(value), a);
      case "select" -> chosen(value, item -> test(item, a, 0));
      case "reject" -> chosen(value, item -> !test(item, a, 0));
      case "selectattr" -> chosen(value, item -> test(attribute(item, a.require(0, "a")), a, 1));
      case "rejectattr" -> chosen(value, item -> !test(attribute(item, a.require(0, "a")), a, 1));
      case "sort" -> sort(Values.items(value), a);
      case "dictsort" -> sort(pairs(value), a.atMost(0));
      case "reverse" ->
          value instanceof String text
              ? new StringBuilder(text).reverse().toString()
              : Values.items(value).reversed();
      case "unique" -> unique(Values.items(value));
      case "min" -> extreme(value, Values::compare);
      case "max" -> extreme(value, (x, y) -> Values.compare(y, x));
      case "sum" -> Values.items(value).stream().reduce(0L, (x, y) -> Operators.apply("+", x, y));
      default -> throw JinjaException.evaluation("No filter named '" + name + "'.");
    };
  }

  private static Object orDefault(Object value, Arguments a) {
    boolean absent =
        value instanceof Undefined || (a.bool(1, "boolean", false) && !Values.isTrue(value));
    return absent ? a.get(0, "default_value", "") : value;
  }

  private static Object length(Object value) {
    return switch (value) {
      case String text -> (long) Strings.length(text);
      case List<?> list -> (long) list.size();
      case Map<?, ?> map -> (long) map.size();
      case Undefined u -> 0L;
      default ->
          throw JinjaException.evaluation(
              "object of type '" + Values.type(value) + "' has no len()");
    };
  }

  private static Object toInt(Object value, Object whenNot) {
    try {
      return switch (value) {
        case Boolean b -> b ? 1L : 0L;
        case Double d -> (long) d.doubleValue();
        case String s -> Long.parseLong(Strings.rstrip(Strings.lstrip(s)));
        default -> value instanceof Long ? value : whenNot;
      };
    } catch (NumberFormatException e) {
      Object decimal = toFloat(value, whenNot);
      return decimal instanceof Double d ? (long) d.doubleValue() : decimal;
    }
  }

  private static Object toFloat(Object value, Object whenNot) {
    try {
      return value instanceof String s
          ? (Object) Double.parseDouble(s.strip())
          : Values.isNumber(value) ? (Object) Values.toDouble(value) : whenNot;
    } catch (NumberFormatException e) {
      return whenNot;
    }
  }

  private static Object absolute(Object value) {
    return Values.isNumber(value)
        ? Math.abs(Values.toDouble(value))
        : throwing(JinjaException.evaluation("bad operand type for abs()"));
  }

  private static Object throwing(JinjaException e) {
    throw e;
  }

  private static Object round(Object value, Arguments a) {
    double scale =
        Math.pow(10, (double) a.atMost(2, "precision", "method").integer(0, "precision", 0));
    double scaled = Values.toDouble(value) * scale;
    return switch (a.optionalText(1, "method").orElse("common")) {
      case "ceil" -> Math.ceil(scaled) / scale;
      case "floor" -> Math.floor(scaled) / scale;
      default -> Math.rint(scaled) / scale;
    };
  }

  /** Capitals after white space, hyphens and opening brackets. */
  private static String title(String text) {
    StringBuilder out = new StringBuilder();
    boolean begins = true;
    for (int c : text.codePoints().toArray()) {
      out.appendCodePoint(begins ? Character.toUpperCase(c) : Character.toLowerCase(c));
      begins = Strings.isSpace(c) || "-({[<".indexOf(c) >= 0;
    }
    return out.toString();
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;")
        .replace(">", "&gt;")
        .replace("<", "&lt;")
        .replace("'", "&#39;")
        .replace("\"", "&#34;");
  }

  private static String indent(String text, Arguments a) {
    Object width = a.atMost(3, "width", "first", "blank").get(0, "width", 4L);
    String by =
        width instanceof String s ? s : " ".repeat(Math.clamp(Values.toLong(width), 0, 1000));
    boolean first = a.bool(1, "first", false);
    boolean blank = a.bool(2, "blank", false);
    StringBuilder out = new StringBuilder();
    for (String line : text.split("\n", -1)) {
      boolean isFirst = out.isEmpty();
      out.append(isFirst ? "" : "\n");
      out.append(isFirst ? (first ? by : "") : (blank || !line.isEmpty() ? by : "")).append(line);
      Limits.checkLength(out.length());
    }
    return out.toString();
  }

  private static Object at(List<Object> items, boolean first) {
    if (items.isEmpty()) {
      return new Undefined("No " + (first ? "first" : "last") + " item, sequence was empty.");
    }
    return first ? items.getFirst() : items.getLast();
  }

  /** An attribute by a path with dots, whose parts may be numbers. */
  private static Object attribute(Object item, Object path) {
    if (path instanceof Long) {
      return Evaluator.item(item, path);
    }
    Object value = item;
    for (String part : Values.text(path).split("\\.", -1)) {
      Object key = part.matches("\\d{1,9}") ? (Object) Long.parseLong(part) : part;
      value = Evaluator.item(value, key);
    }
    return value;
  }

  private static List<Object> attributes(List<Object> items, Object path) {
    return items.stream().map(item -> attribute(item, path)).toList();
  }

  private static List<Object> map(List<Object> items, Arguments a) {
    Object path = a.named().get("attribute");
    if (path != null && a.positional().isEmpty()) {
      Object whenAbsent = a.named().getOrDefault("default", Values.NONE);
      boolean replaces = a.named().containsKey("default");
      return attributes(items, path).stream()
          .map(value -> replaces && value instanceof Undefined ? whenAbsent : value)
          .toList();
    }
    String name = a.text(0, "filter");
    if (!NAMES.contains(name)) {
      throw JinjaException.evaluation("No filter named '" + name + "'.");
    }
    Arguments rest = new Arguments(a.positional().subList(1, a.positional().size()), a.named());
    return items.stream().map(item -> apply(name, item, rest)).toList();
  }

  private static List<Object> chosen(Object value, Predicate<Object> predicate) {
    return Values.items(value).stream().filter(predicate).toList();
  }

  /**
   * Whether a test holds that the arguments from a place on describe; truth where there is none.
   */
  private static boolean test(Object value, Arguments a, int place) {
    if (a.positional().size() <= place) {
      return Values.isTrue(value);
    }
    String name =
        switch (a.text(place, "test")) {
          case "==" -> "eq";
          case "!=" -> "ne";
          case "<" -> "lt";
          case "<=" -> "le";
          case ">" -> "gt";
          case ">=" -> "ge";
          case String other -> other;
        };
    List<Object> rest = a.positional().subList(place + 1, a.positional().size());
    return Tests.holds(name, value, new Arguments(rest, Map.of()));
  }

  private static List<Object> pairs(Object value) {
    if (value instanceof Map<?, ?> map) {
      return Methods.pairs(map);
    }
    throw JinjaException.evaluation("dictsort: expected a dict, found " + Values.type(value));
  }

  private static List<Object> sort(List<Object> items, Arguments a) {
    a.atMost(3, "reverse", "case_sensitive", "attribute");
    boolean caseSensitive = a.bool(1, "case_sensitive", false);
    Object path = a.get(2, "attribute", Values.NONE);
    Comparator<Object> order =
        (x, y) -> Values.compare(sortKey(x, path, caseSensitive), sortKey(y, path, caseSensitive));
    return items.stream().sorted(a.bool(0, "reverse", false) ? order.reversed() : order).toList();
  }

  private static Object sortKey(Object item, Object path, boolean caseSensitive) {
    Object key = Values.isNone(path) ? item : attribute(item, path);
    if (caseSensitive) {
      return key;
    }
    if (key instanceof Tuple tuple) {
      return new Tuple(tuple.stream().map(part -> sortKey(part, Values.NONE, false)).toList());
    }
    return key instanceof String s ? s.toLowerCase(Locale.ROOT) : key;
  }

  private static List<Object> unique(List<Object> items) {
    Map<Object, Object> seen = new LinkedHashMap<>();
    items.forEach(item -> seen.putIfAbsent(sortKey(Values.key(item), Values.NONE, false), item));
    return List.copyOf(seen.values());
  }

  private static Object extreme(Object value, Comparator<Object> order) {
    return Values.items(value).stream()
        .min((x, y) -> order.compare(folded(x), folded(y)))
        .orElse(new Undefined("No aggregated item, sequence was empty."));
  }

  private static Object folded(Object value) {
    return sortKey(value, Values.NONE, false);
  }
}
