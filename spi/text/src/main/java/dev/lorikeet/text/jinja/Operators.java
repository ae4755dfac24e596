package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Arithmetic, subscripts and slices as in Python, on integers of 64 bits. */
final class Operators {
  private Operators() {}

  static Object apply(String operator, Object a, Object b) {
    if (Values.isNumber(a) && Values.isNumber(b)) {
      return numeric(operator, a, b);
    }
    return switch (operator) {
      case "+" -> add(a, b);
      case "*" -> repeat(a, b);
      default -> {
        if (operator.equals("%") && a instanceof String format) {
          yield format(format, arguments(b));
        }
        throw Values.unsupported(operator, a, b);
      }
    };
  }

  private static Object numeric(String operator, Object a, Object b) {
    if (operator.equals("/")) {
      return Values.toDouble(a) / nonZero(Values.toDouble(b));
    }
    if (a instanceof Double || b instanceof Double) {
      return decimal(operator, Values.toDouble(a), Values.toDouble(b));
    }
    long x = Values.toLong(a);
    long y = Values.toLong(b);
    try {
      return switch (operator) {
        case "+" -> Math.addExact(x, y);
        case "-" -> Math.subtractExact(x, y);
        case "*" -> Math.multiplyExact(x, y);
        case "//" -> Math.floorDivExact(x, nonZero(y));
        case "%" -> Math.floorMod(x, nonZero(y));
        default -> y < 0 ? (Object) Math.pow((double) x, (double) y) : (Object) power(x, y);
      };
    } catch (ArithmeticException e) {
      throw JinjaException.limit("expected integers of 64 bits: " + x + " " + operator + " " + y);
    }
  }

  private static double decimal(String operator, double x, double y) {
    return switch (operator) {
      case "+" -> x + y;
      case "-" -> x - y;
      case "*" -> x * y;
      case "//" -> Math.floor(x / nonZero(y));
      case "%" -> {
        double remainder = x % nonZero(y);
        yield remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
      }
      default -> Math.pow(x, y);
    };
  }

  private static long nonZero(long divisor) {
    nonZero((double) divisor);
    return divisor;
  }

  private static double nonZero(double divisor) {
    if (divisor == 0) {
      throw JinjaException.evaluation("division by zero");
    }
    return divisor;
  }

  private static long power(long base, long exponent) {
    long result = 1;
    for (long i = 0; i < exponent && result != 0 && (base != 1 || i < 1); i++) {
      if (i > 64 && base == -1) {
        return exponent % 2 == 0 ? 1 : -1;
      }
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static Object add(Object a, Object b) {
    if (a instanceof String x && b instanceof String y) {
      Limits.write((long) x.length() + y.length());
      return x.concat(y);
    }
    if (a instanceof List<?> x && b instanceof List<?> y && tuples(x) == tuples(y)) {
      Limits.list((long) x.size() + y.size());
      List<Object> both = new ArrayList<>(x);
      both.addAll(y);
      return tuples(x) ? new Tuple(both) : both;
    }
    throw Values.unsupported("+", a, b);
  }

  private static boolean tuples(List<?> list) {
    return list instanceof Tuple;
  }

  private static Object repeat(Object a, Object b) {
    Object sequence = Values.isNumber(a) ? b : a;
    Object count = Values.isNumber(a) ? a : b;
    if (count instanceof Double || !Values.isNumber(count)) {
      throw Values.unsupported("*", a, b);
    }
    long times = Math.max(0, Values.toLong(count));
    if (sequence instanceof String text) {
      Limits.write(saturated(text.length(), times));
      return text.repeat((int) times);
    }
    if (sequence instanceof List<?> list && !tuples(list)) {
      Limits.list(saturated(list.size(), times));
      List<Object> all = new ArrayList<>();
      for (long i = 0; i < times && !list.isEmpty(); i++) {
        all.addAll(list);
      }
      return all;
    }
    throw Values.unsupported("*", a, b);
  }

  private static long saturated(long length, long times) {
    return Math.multiplyHigh(length, times) != 0 || times > Integer.MAX_VALUE
        ? Long.MAX_VALUE
        : length * times;
  }

  private static List<Object> arguments(Object value) {
    return value instanceof Tuple tuple ? tuple : List.of(value);
  }

  /** {@code format % arguments}, for {@code %s}, {@code %d} and {@code %%}. */
  static String format(String format, List<Object> arguments) {
    TextWriter out = new TextWriter();
    int used = 0;
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%') {
        out.append(c);
        continue;
      }
      char kind = ++i < format.length() ? format.charAt(i) : ' ';
      if (kind == '%') {
        out.append('%');
      } else if (kind != 's' && kind != 'd') {
        throw JinjaException.evaluation("format: expected %s, %d or %%, found %" + kind);
      } else if (used == arguments.size()) {
        throw JinjaException.evaluation("not enough arguments for format string");
      } else {
        Object argument = arguments.get(used++);
        out.append(kind == 's' ? Printed.text(argument) : Long.toString(Values.toLong(argument)));
      }
    }
    if (used < arguments.size()) {
      throw JinjaException.evaluation("not all arguments converted during string formatting");
    }
    return out.toString();
  }

  /** {@code object[key]} where the object has such an item. */
  static Optional<Object> item(Object object, Object key) {
    if (object instanceof Map<?, ?> map) {
      return Optional.ofNullable(map.get(Values.key(key)));
    }
    if (key instanceof String || !Values.isNumber(key)) {
      return Optional.empty();
    }
    if (object instanceof List<?> list) {
      int i = place(Values.toLong(key), list.size());
      return i < 0 ? Optional.empty() : Optional.of(list.get(i));
    }
    if (object instanceof String text) {
      Limits.read(text.length());
      int i = place(Values.toLong(key), Strings.length(text));
      return i < 0 ? Optional.empty() : Optional.of(Strings.substring(text, i, i + 1));
    }
    return Optional.empty();
  }

  private static int place(long index, int length) {
    long from = index < 0 ? index + length : index;
    return from >= 0 && from < length ? (int) from : -1;
  }

  static Object slice(
      Object object, Optional<Long> start, Optional<Long> stop, Optional<Long> step) {
    long by = step.orElse(1L);
    if (by == 0) {
      throw JinjaException.evaluation("slice step cannot be zero");
    }
    if (object instanceof String text) {
      Limits.write(text.length());
      if (by == 1) {
        int length = Strings.length(text);
        int from = bound(start, 0, length, false);
        int to = bound(stop, length, length, false);
        return from < to ? Strings.substring(text, from, to) : "";
      }
      StringBuilder out = new StringBuilder();
      slice(Values.items(text), start, stop, by).forEach(out::append);
      return out.toString();
    }
    if (object instanceof List<?> list) {
      List<Object> part = slice(Values.items(list), start, stop, by);
      return tuples(list) ? new Tuple(part) : part;
    }
    throw object instanceof Values.Undefined undefined
        ? Values.undefined(undefined)
        : JinjaException.evaluation("'" + Values.type(object) + "' object is not subscriptable");
  }

  private static List<Object> slice(
      List<Object> items, Optional<Long> start, Optional<Long> stop, long by) {
    boolean back = by < 0;
    int length = items.size();
    long from = bound(start, back ? length - 1 : 0, length, back);
    long to = bound(stop, back ? -1 : length, length, back);
    Limits.list(Math.abs(to - from));
    List<Object> part = new ArrayList<>();
    for (long i = from; back ? i > to : i < to; ) {
      part.add(items.get((int) i));
      i += Math.clamp(by, -length, length); // all the same when it is farther than the list is long
    }
    return part;
  }

  private static int bound(Optional<Long> given, int whenAbsent, int length, boolean back) {
    if (given.isEmpty()) {
      return whenAbsent;
    }
    long at = given.get() < 0 ? given.get() + length : given.get();
    return Math.clamp(at, back ? -1 : 0, back ? length - 1 : length);
  }
}
