package dev.lorikeet.text.jinja;

import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Collections;
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

  /** What a text of one character takes beside it, in characters. */
  private static final int TEXT_SIZE = 24;

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

  /**
   * Python's tuple; a list but for how it prints. Its order by what it prints helps hash maps with
   * tuples that were made to have the same hash.
   */
  static final class Tuple extends AbstractList<Object> implements Comparable<Tuple> {
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

    @Override
    public int compareTo(Tuple other) {
      return Printed.representation(this).compareTo(Printed.representation(other));
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

  /** What iteration over a value gives. */
  static List<Object> items(Object value) {
    return switch (value) {
      case List<?> list -> Collections.unmodifiableList(list);
      case Map<?, ?> map -> {
        Limits.list(map.size());
        yield List.copyOf(map.keySet());
      }
      case String s -> {
        Limits.list(s.length());
        Limits.current().addSize((long) TEXT_SIZE * s.length());
        List<Object> characters = new ArrayList<>();
        s.codePoints().forEach(c -> characters.add(Character.toString(c)));
        yield characters;
      }
      case Undefined u -> List.of();
      default -> throw JinjaException.evaluation("'" + type(value) + "' object is not iterable");
    };
  }

  /**
   * Returns a value that a dictionary can have for a key, when the way through all of it that its
   * hash takes is counted.
   */
  static Object key(Object value) {
    switch (value) {
      case String text -> Limits.read(text.length());
      case Tuple tuple -> {
        Limits.current().enter();
        Limits.visit(tuple.size());
        tuple.forEach(Values::key);
        Limits.current().leave();
      }
      case List<?> list -> throw unhashable(list);
      case Map<?, ?> map -> throw unhashable(map);
      default -> Limits.visit(1);
    }
    return value;
  }

  private static JinjaException unhashable(Object value) {
    return JinjaException.evaluation("unhashable type: '" + type(value) + "'");
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
              "expected an integer, found " + type(number) + " " + Printed.brief(number));
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
