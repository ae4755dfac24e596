package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import java.util.List;
import java.util.Map;

/** Python's {@code json.dumps}, which is what {@code tojson} means to transformers. */
final class Json {
  private final String indent;
  private final boolean lines;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean ascii;
  private final boolean sorted;
  private final TextWriter out = new TextWriter();

  private Json(Arguments arguments) {
    arguments.atMost(4, "ensure_ascii", "indent", "separators", "sort_keys");
    this.ascii = arguments.bool(0, "ensure_ascii", false);
    Object by = arguments.get(1, "indent", Values.NONE);
    this.lines = !Values.isNone(by);
    this.indent = by instanceof String s ? s : lines ? indentOf(Values.toLong(by)) : "";
    Object separators = arguments.get(2, "separators", Values.NONE);
    if (separators instanceof List<?> pair && pair.size() == 2) {
      this.itemSeparator = Printed.text(pair.get(0));
      this.keySeparator = Printed.text(pair.get(1));
    } else {
      this.itemSeparator = lines ? "," : ", ";
      this.keySeparator = ": ";
    }
    this.sorted = arguments.bool(3, "sort_keys", false);
  }

  private static String indentOf(long spaces) {
    return " ".repeat(Math.clamp(spaces, 0, 64));
  }

  static String write(Object value, Arguments arguments) {
    Json json = new Json(arguments);
    json.value(value, 0);
    return json.out.toString();
  }

  private void value(Object value, int depth) {
    Limits.visit(1);
    switch (value) {
      case String s -> string(s);
      case Boolean b -> out.append(b.toString());
      case Long l -> out.append(l.toString());
      case Double d -> out.append(number(d));
      case List<?> list -> {
        out.append('[');
        Limits.current().enter();
        for (int i = 0; i < list.size(); i++) {
          next(i > 0, depth + 1);
          value(list.get(i), depth + 1);
        }
        Limits.current().leave();
        close(']', !list.isEmpty(), depth);
      }
      case Map<?, ?> map -> object(map, depth);
      default -> {
        if (!Values.isNone(value)) {
          throw JinjaException.evaluation(
              "Object of type " + Values.type(value) + " is not JSON serializable");
        }
        out.append("null");
      }
    }
  }

  private void object(Map<?, ?> map, int depth) {
    out.append('{');
    Limits.current().enter();
    boolean more = false;
    for (Object pair : sorted ? sorted(map) : Methods.pairs(map)) {
      if (pair instanceof Tuple entry) {
        next(more, depth + 1);
        more = true;
        string(key(entry.get(0)));
        out.append(keySeparator);
        value(entry.get(1), depth + 1);
      }
    }
    Limits.current().leave();
    close('}', more, depth);
  }

  private static List<Object> sorted(Map<?, ?> map) {
    return Order.sorted(
        Methods.pairs(map), pair -> pair instanceof Tuple entry ? key(entry.get(0)) : pair, false);
  }

  private static String key(Object key) {
    return switch (key) {
      case String s -> s;
      case Boolean b -> b.toString();
      case Double d -> number(d);
      default -> Values.isNone(key) ? "null" : Printed.text(key);
    };
  }

  private static String number(double value) {
    return Double.isNaN(value)
        ? "NaN"
        : Double.isInfinite(value) ? (value > 0 ? "Infinity" : "-Infinity") : Printed.number(value);
  }

  private void next(boolean more, int depth) {
    if (more) {
      out.append(itemSeparator);
    }
    line(depth);
  }

  private void close(char bracket, boolean filled, int depth) {
    if (filled) {
      line(depth);
    }
    out.append(bracket);
  }

  private void line(int depth) {
    if (lines) {
      out.append('\n');
      for (int i = 0; i < depth; i++) {
        out.append(indent);
      }
    }
  }

  private void string(String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7E)) {
            out.append("\\u").appendHexadecimal(c, 4);
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
