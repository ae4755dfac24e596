package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.util.ArrayList;
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
      case "trim" -> Limits.written(Methods.strip(text(value), a, true, true));
      case "upper" -> Limits.written(text(value).toUpperCase(Locale.ROOT));
      case "lower" -> Limits.written(text(value).toLowerCase(Locale.ROOT));
      case "capitalize" -> Limits.written(Strings.capitalize(text(value)));
      case "title" -> title(text(value));
      case "replace" -> Methods.replace(text(value), a);
      case "string" -> Printed.text(value);
      case "safe" -> value;
      case "e", "escape" -> escape(text(value));
      case "indent" -> indent(text(value), a);
      case "format" -> Operators.format(text(value), a.positional());
      case "tojson" -> Json.write(value, a);
      case "default", "d" -> orDefault(value, a);
      case "length", "count" -> length(value);
      case "int" -> toInt(value, a.get(0, "default", 0L));
      case "float" -> toFloat(value, a.get(0, "default", 0.0));
      case "abs" -> absolute(value);
      case "round" -> round(value, a);
      default -> ofSequence(name, value, a);
    };
  }

  /** A text that is read from its beginning to its end. */
  private static String text(Object value) {
    String text = Printed.text(value);
    Limits.read(text.length());
    return text;
  }

  private static Object ofSequence(String name, Object value, Arguments a) {
    return switch (name) {
      case "list" -> {
        List<Object> items = Values.items(value);
        Limits.list(items.size());
        yield new ArrayList<>(items);
      }
      case "items" -> value instanceof Map<?, ?> map ? Methods.pairs(map) : Values.items(value);
      case "first" -> at(Values.items(value), true);
      case "last" -> at(Values.items(value), false);
      case "join" -> {
        List<Object> items = Values.items(value);
        if (a.get(1, "attribute").isPresent()) {
          items = attributes(items, a.require(1, "attribute"));
        }
        yield Methods.join(items, Printed.text(a.get(0, "d", "")));
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
              ? new StringBuilder(Limits.written(text)).reverse().toString()
              : Values.items(value).reversed();
      case "unique" -> unique(Values.items(value));
      case "min" -> extreme(value, false);
      case "max" -> extreme(value, true);
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
      case String text -> {
        Limits.read(text.length());
        yield (long) Strings.length(text);
      }
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
        case String s -> Long.parseLong(Strings.rstrip(Strings.lstrip(text(s))));
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
          ? (Object) Double.parseDouble(Limits.written(s).strip())
          : Values.isNumber(value) ? (Object) Values.toDouble(value) : whenNot;
    } catch (NumberFormatException e) {
      return whenNot;
    }
  }

  private static Object absolute(Object value) {
    if (!Values.isNumber(value)) {
      throw JinjaException.evaluation("bad operand type for abs()");
    }
    if (value instanceof Double d) {
      return Math.abs(d);
    }
    long number = Values.toLong(value);
    return number < 0 ? Operators.apply("*", number, -1L) : (Object) number;
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
    TextWriter out = new TextWriter();
    boolean begins = true;
    int c;
    for (int i = 0; i < text.length(); i += Character.charCount(c)) {
      c = text.codePointAt(i);
      out.appendCodePoint(begins ? Character.toUpperCase(c) : Character.toLowerCase(c));
      begins = Strings.isSpace(c) || "-({[<".indexOf(c) >= 0;
    }
    return out.toString();
  }

  private static String escape(String text) {
    TextWriter out = new TextWriter();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> out.append("&amp;");
        case '>' -> out.append("&gt;");
        case '<' -> out.append("&lt;");
        case '\'' -> out.append("&#39;");
        case '"' -> out.append("&#34;");
        default -> out.append(c);
      }
    }
    return out.toString();
  }

  private static String indent(String text, Arguments a) {
    Object width = a.atMost(3, "width", "first", "blank").get(0, "width", 4L);
    String by =
        width instanceof String s ? s : " ".repeat(Math.clamp(Values.toLong(width), 0, 1000));
    boolean first = a.bool(1, "first", false);
    boolean blank = a.bool(2, "blank", false);
    TextWriter out = new TextWriter();
    boolean indents = first;
    int from = 0;
    while (from >= 0) {
      int next = text.indexOf('\n', from);
      int end = next < 0 ? text.length() : next;
      out.append(indents ? by : "").append(text, from, end).append(next < 0 ? "" : "\n");
      from = next < 0 ? -1 : next + 1;
      indents = blank || (from >= 0 && from < text.length() && text.charAt(from) != '\n');
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
    for (Object part : Strings.split(Printed.text(path), ".", -1)) {
      value = Evaluator.item(value, part instanceof String name ? key(name) : part);
    }
    return value;
  }

  private static Object key(String name) {
    boolean number =
        !name.isEmpty() && name.length() <= 9 && name.chars().allMatch(c -> c >= '0' && c <= '9');
    return number ? (Object) Long.parseLong(name) : name;
  }

  private static List<Object> attributes(List<Object> items, Object path) {
    Limits.list(items.size());
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
    Limits.list(items.size());
    return items.stream().map(item -> apply(name, item, rest)).toList();
  }

  private static List<Object> chosen(Object value, Predicate<Object> predicate) {
    List<Object> items = Values.items(value);
    Limits.list(items.size());
    return items.stream().filter(predicate).toList();
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
    return Order.sorted(
        items, item -> sortKey(item, path, caseSensitive), a.bool(0, "reverse", false));
  }

  private static Object sortKey(Object item, Object path, boolean caseSensitive) {
    Object key = Values.isNone(path) ? item : attribute(item, path);
    if (caseSensitive) {
      return key;
    }
    if (key instanceof Tuple tuple) {
      Limits.list(2L * tuple.size());
      Limits.current().enter();
      Object folded = new Tuple(tuple.stream().map(Filters::folded).toList());
      Limits.current().leave();
      return folded;
    }
    return key instanceof String s ? Limits.written(s.toLowerCase(Locale.ROOT)) : key;
  }

  private static List<Object> unique(List<Object> items) {
    Limits.list(4L * items.size());
    Map<Object, Object> seen = new LinkedHashMap<>();
    items.forEach(item -> seen.putIfAbsent(folded(Values.key(item)), item));
    return List.copyOf(seen.values());
  }

  private static Object extreme(Object value, boolean largest) {
    List<Object> sorted = Order.sorted(Values.items(value), Filters::folded, largest);
    return at(sorted, true);
  }

  private static Object folded(Object value) {
    return sortKey(value, Values.NONE, false);
  }
}
