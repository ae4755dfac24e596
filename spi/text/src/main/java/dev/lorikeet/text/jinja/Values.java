package dev.lorikeet.text.jinja;

import java.math.BigDecimal;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/*
 * Values of a template and what Python does with them. A value is one of: NONE, Undefined,
 * Boolean, Long, Double, String, List (Tuple for a tuple), Map, Callable, Namespace, LoopState.
 * There are no others, and no way from these to any other object of the JVM.
 */

/** Python's operations on the values of a template. */
final class Values {
  /** Python's {@code None}. */
  static final Object NONE = None.NONE;

  private enum None {
    NONE
  }

  /** What a name, attribute or item is that is not there; using it fails with the message. */
  record Undefined(String message) {}

  /** A function, method or macro. */
  @FunctionalInterface
  interface Callable {
    Object call(Arguments arguments);
  }

  /** Python's tuple; a list but for how it prints. */
  static final class Tuple extends AbstractList<Object> {
    private final List<Object> items;

    Tuple(List<Object> items) {
      this.items = List.copyOf(items);
    }

    @Override
    public Object get(int index) {
      return items.get(index);
    }

    @Override
    public int size() {
      return items.size();
    }
  }

  private Values() {}

  static boolean isNone(Object value) {
    return value.equals(NONE);
  }

  static boolean isTrue(Object value) {
    return switch (value) {
      case Boolean b -> b;
      case Long l -> l != 0;
      case Double d -> d != 0;
      case String s -> !s.isEmpty();
      case List<?> list -> !list.isEmpty();
      case Map<?, ?> map -> !map.isEmpty();
      case Undefined u -> false;
      default -> !isNone(value);
    };
  }

  /** {@code type(value).__name__}, for errors. */
  static String type(Object value) {
    return switch (value) {
      case Boolean b -> "bool";
      case Long l -> "int";
      case Double d -> "float";
      case String s -> "str";
      case Tuple t -> "tuple";
      case List<?> list -> "list";
      case Map<?, ?> map -> "dict";
      case Undefined u -> "undefined";
      case Callable c -> "function";
      default -> isNone(value) ? "None" : "object";
    };
  }

  /** {@code str(value)}. */
  static String text(Object value) {
    return switch (value) {
      case String s -> s;
      case Undefined u -> "";
      default -> representation(value);
    };
  }

  /** {@code repr(value)}. */
  static String representation(Object value) {
    return switch (value) {
      case String s -> quoted(s);
      case Boolean b -> b ? "True" : "False";
      case Long l -> l.toString();
      case Double d -> number(d);
      case Tuple t -> t.size() == 1 ? "(" + representation(t.get(0)) + ",)" : joined("(", t, ")");
      case List<?> list -> joined("[", list, "]");
      case Map<?, ?> map -> {
        StringBuilder out = new StringBuilder("{");
        map.forEach(
            (key, item) -> {
              out.append(out.length() > 1 ? ", " : "").append(representation(key));
              Limits.checkLength(out.append(": ").append(representation(item)).length());
            });
        yield out.append('}').toString();
      }
      case Undefined u -> "Undefined";
      default -> isNone(value) ? "None" : "<" + type(value) + ">";
    };
  }

  private static String joined(String open, List<?> items, String close) {
    StringBuilder out = new StringBuilder(open);
    for (Object item : items) {
      out.append(out.length() > 1 ? ", " : "").append(representation(item));
      Limits.checkLength(out.length());
    }
    return out.append(close).toString();
  }

  private static String quoted(String text) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    StringBuilder out = new StringBuilder().append(quote);
    for (int c : text.codePoints().toArray()) {
      switch (c) {
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\\' -> out.append("\\\\");
        default -> {
          if (c == quote) {
            out.append('\\').append(quote);
          } else if (c < 0x20 || (c >= 0x7F && c < 0xA1) || c == 0xAD) {
            out.append("\\x%02x".formatted(c));
          } else {
            out.appendCodePoint(c);
          }
        }
      }
    }
    return out.append(quote).toString();
  }

  /** {@code repr} of a float: the shortest digits that give it back. */
  static String number(double value) {
    if (Double.isNaN(value)) {
      return "nan";
    }
    if (Double.isInfinite(value)) {
      return value > 0 ? "inf" : "-inf";
    }
    if (value == 0) {
      return 1 / value < 0 ? "-0.0" : "0.0";
    }
    BigDecimal digits = new BigDecimal(Double.toString(value)).stripTrailingZeros();
    int exponent = digits.precision() - digits.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = digits.toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String all = digits.unscaledValue().abs().toString();
    String mantissa = all.length() == 1 ? all : all.charAt(0) + "." + all.substring(1);
    String sign = value < 0 ? "-" : "";
    return sign + mantissa + (exponent < 0 ? "e-" : "e+") + "%02d".formatted(Math.abs(exponent));
  }

  /** {@code a == b}. */
  static boolean areEqual(Object a, Object b) {
    if (isNumber(a) && isNumber(b)) {
      return (a instanceof Double || b instanceof Double)
          ? toDouble(a) == toDouble(b)
          : toLong(a) == toLong(b);
    }
    if (a instanceof List<?> left && b instanceof List<?> right) {
      if (left.size() != right.size() || (a instanceof Tuple) != (b instanceof Tuple)) {
        return false;
      }
      for (int i = 0; i < left.size(); i++) {
        if (!areEqual(left.get(i), right.get(i))) {
          return false;
        }
      }
      return true;
    }
    if (a instanceof Map<?, ?> left && b instanceof Map<?, ?> right) {
      return left.size() == right.size()
          && left.entrySet().stream()
              .allMatch(
                  entry -> {
                    Object other = right.get(entry.getKey());
                    return other != null && areEqual(entry.getValue(), other);
                  });
    }
    return (a instanceof Undefined && b instanceof Undefined) || a.equals(b);
  }

  /** {@code a < b} and its kin, as the sign of a comparison. */
  static int compare(Object a, Object b) {
    if (isNumber(a) && isNumber(b)) {
      return (a instanceof Double || b instanceof Double)
          ? Double.compare(toDouble(a), toDouble(b))
          : Long.compare(toLong(a), toLong(b));
    }
    if (a instanceof String left && b instanceof String right) {
      return compareCodePoints(left, right);
    }
    if (a instanceof List<?> left && b instanceof List<?> right) {
      for (int i = 0; i < Math.min(left.size(), right.size()); i++) {
        if (!areEqual(left.get(i), right.get(i))) {
          return compare(left.get(i), right.get(i));
        }
      }
      return Integer.compare(left.size(), right.size());
    }
    throw unsupported("<", a, b);
  }

  private static int compareCodePoints(String a, String b) {
    int i = 0;
    while (i < a.length() && i < b.length() && a.charAt(i) == b.charAt(i)) {
      i++;
    }
    return i == a.length() || i == b.length()
        ? Integer.compare(a.length(), b.length())
        : Integer.compare(a.codePointAt(i), b.codePointAt(i));
  }

  /** {@code needle in haystack}. */
  static boolean contains(Object haystack, Object needle) {
    if (haystack instanceof String text) {
      if (needle instanceof String part) {
        return text.contains(part);
      }
      throw JinjaException.evaluation("'in <string>' requires a string, not " + type(needle));
    }
    if (haystack instanceof Map<?, ?> map) {
      return map.containsKey(key(needle));
    }
    return items(haystack).stream().anyMatch(item -> areEqual(item, needle));
  }

  /** What iteration over a value gives. */
  static List<Object> items(Object value) {
    return switch (value) {
      case List<?> list -> List.copyOf(list);
      case Map<?, ?> map -> List.copyOf(map.keySet());
      case String s -> {
        List<Object> characters = new ArrayList<>();
        s.codePoints().forEach(c -> characters.add(Character.toString(c)));
        yield characters;
      }
      case Undefined u -> List.of();
      default -> throw JinjaException.evaluation("'" + type(value) + "' object is not iterable");
    };
  }

  /** Returns a value that a dictionary can have for a key. */
  static Object key(Object value) {
    if ((value instanceof List && !(value instanceof Tuple)) || value instanceof Map) {
      throw JinjaException.evaluation("unhashable type: '" + type(value) + "'");
    }
    return value;
  }

  static boolean isNumber(Object value) {
    return value instanceof Long || value instanceof Double || value instanceof Boolean;
  }

  static double toDouble(Object number) {
    return number instanceof Double d ? d : toLong(number);
  }

  static long toLong(Object number) {
    return switch (number) {
      case Boolean b -> b ? 1 : 0;
      case Long l -> l;
      default ->
          throw JinjaException.evaluation(
              "expected an integer, found " + type(number) + " " + text(number));
    };
  }

  static JinjaException unsupported(String operator, Object a, Object b) {
    for (Object operand : new Object[] {a, b}) {
      if (operand instanceof Undefined undefined) {
        return undefined(undefined);
      }
    }
    return JinjaException.evaluation(
        "unsupported operand types for " + operator + ": '" + type(a) + "' and '" + type(b) + "'");
  }

  static JinjaException undefined(Undefined undefined) {
    return JinjaException.evaluation(undefined.message());
  }
}
