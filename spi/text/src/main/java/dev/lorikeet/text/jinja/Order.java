package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Tuple;
import dev.lorikeet.text.jinja.Values.Undefined;
import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;

/** How Python compares values. */
final class Order {
  private Order() {}

  /** {@code a == b}. */
  static boolean areEqual(Object a, Object b) {
    Limits.visit(1);
    if (a instanceof String left && b instanceof String right) {
      Limits.read(left.length() == right.length() ? left.length() : 0);
      return left.equals(right);
    }
    if (Values.isNumber(a) && Values.isNumber(b)) {
      return (a instanceof Double || b instanceof Double)
          ? Values.toDouble(a) == Values.toDouble(b)
          : Values.toLong(a) == Values.toLong(b);
    }
    if (a instanceof List<?> left && b instanceof List<?> right) {
      return listsAreEqual(left, right);
    }
    if (a instanceof Map<?, ?> left && b instanceof Map<?, ?> right) {
      return mapsAreEqual(left, right);
    }
    return (a instanceof Undefined && b instanceof Undefined) || areSame(a, b);
  }

  private static boolean listsAreEqual(List<?> left, List<?> right) {
    if (left.size() != right.size() || (left instanceof Tuple) != (right instanceof Tuple)) {
      return false;
    }
    Limits.current().enter();
    boolean equal = true;
    for (int i = 0; i < left.size() && equal; i++) {
      equal = areEqual(left.get(i), right.get(i));
    }
    Limits.current().leave();
    return equal;
  }

  private static boolean mapsAreEqual(Map<?, ?> left, Map<?, ?> right) {
    if (left.size() != right.size()) {
      return false;
    }
    Limits.current().enter();
    boolean equal = true;
    for (Map.Entry<?, ?> entry : left.entrySet()) {
      Object other = right.get(Values.key(entry.getKey()));
      equal = other != null && areEqual(entry.getValue(), other);
      if (!equal) {
        break;
      }
    }
    Limits.current().leave();
    return equal;
  }

  /** {@code a is b}: values that cannot be told apart, without a look into lists. */
  @SuppressWarnings("ReferenceEquality") // that is the question
  static boolean areSame(Object a, Object b) {
    return a == b || (isScalar(a) && isScalar(b) && a.equals(b));
  }

  private static boolean isScalar(Object value) {
    if (value instanceof String text) {
      Limits.read(text.length());
      return true;
    }
    return Values.isNumber(value) || Values.isNone(value);
  }

  /** {@code a < b} and its kin, as the sign of a comparison. */
  static int compare(Object a, Object b) {
    Limits.visit(1);
    if (Values.isNumber(a) && Values.isNumber(b)) {
      return compareNumbers(a, b);
    }
    if (a instanceof String left && b instanceof String right) {
      Limits.read(Math.min(left.length(), right.length()));
      return compareCodePoints(left, right);
    }
    if (a instanceof List<?> left && b instanceof List<?> right) {
      Limits.current().enter();
      int order = Integer.compare(left.size(), right.size());
      for (int i = 0; i < Math.min(left.size(), right.size()); i++) {
        if (!areEqual(left.get(i), right.get(i))) {
          order = compare(left.get(i), right.get(i));
          break;
        }
      }
      Limits.current().leave();
      return order;
    }
    throw Values.unsupported("<", a, b);
  }

  /** Exact, as the order would not be one otherwise. */
  private static int compareNumbers(Object a, Object b) {
    if (!(a instanceof Double) && !(b instanceof Double)) {
      return Long.compare(Values.toLong(a), Values.toLong(b));
    }
    double x = Values.toDouble(a);
    double y = Values.toDouble(b);
    boolean exact = (a instanceof Double && b instanceof Double) || x != y;
    return exact || !Double.isFinite(x) || !Double.isFinite(y)
        ? Double.compare(x, y)
        : decimal(a).compareTo(decimal(b));
  }

  private static BigDecimal decimal(Object number) {
    return number instanceof Double d
        ? new BigDecimal(d)
        : BigDecimal.valueOf(Values.toLong(number));
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
        return Search.of(part).next(text, 0) >= 0;
      }
      throw JinjaException.evaluation(
          "'in <string>' requires a string, not " + Values.type(needle));
    }
    if (haystack instanceof Map<?, ?> map) {
      return map.containsKey(Values.key(needle));
    }
    for (Object item : Values.items(haystack)) {
      if (areEqual(item, needle)) {
        return true;
      }
    }
    return false;
  }

  /** Sorts items by their keys; equal ones keep their order. */
  static List<Object> sorted(List<Object> items, UnaryOperator<Object> key, boolean reverse) {
    record Keyed(Object key, Object item) {}
    Limits.list(2L * items.size());
    List<Keyed> keyed = new ArrayList<>(items.size());
    for (Object item : items) {
      keyed.add(new Keyed(key.apply(item), item));
    }
    Comparator<Keyed> order = (x, y) -> compare(x.key(), y.key());
    try {
      keyed.sort(reverse ? order.reversed() : order);
    } catch (IllegalArgumentException e) {
      throw JinjaException.evaluation("sort: expected values that have an order");
    }
    return new ArrayList<>(keyed.stream().map(Keyed::item).toList());
  }
}
