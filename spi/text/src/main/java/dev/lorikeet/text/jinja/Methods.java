package dev.lorikeet.text.jinja;

import dev.lorikeet.text.jinja.Values.Callable;
import dev.lorikeet.text.jinja.Values.Tuple;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntPredicate;

/** The methods of strings, lists and dictionaries that templates call. */
final class Methods {
  /** What would change a list or dictionary, which the sandbox of transformers forbids. */
  private static final Set<String> MUTATING =
      Set.of(
          "append",
          "clear",
          "extend",
          "insert",
          "pop",
          "popitem",
          "remove",
          "reverse",
          "setdefault",
          "sort",
          "update");

  /** What sorting the characters to strip takes for each. */
  private static final long ANY_SIZE = 8;

  private Methods() {}

  /** Returns a method bound to its object. */
  static Optional<Callable> of(Object object, String name) {
    Optional<Callable> method =
        switch (object) {
          case String text -> ofString(text, name);
          case List<?> list -> ofList(list, name);
          case Map<?, ?> map -> ofMap(map, name);
          default -> Optional.empty();
        };
    if (method.isEmpty()
        && (object instanceof List || object instanceof Map)
        && MUTATING.contains(name)) {
      throw JinjaException.evaluation(
          "access to attribute '" + name + "' of '" + Values.type(object) + "' object is unsafe");
    }
    return method;
  }

  private static Optional<Callable> ofMap(Map<?, ?> map, String name) {
    return Optional.ofNullable(
        switch (name) {
          case "items" -> a -> pairs(map);
          case "copy" -> a -> map;
          case "keys" -> a -> Values.items(map);
          case "values" ->
              a -> {
                Limits.list(map.size());
                return List.copyOf(map.values());
              };
          case "get" ->
              a -> {
                Object value = map.get(Values.key(a.require(0, "key")));
                return value == null ? a.get(1, "default", Values.NONE) : value;
              };
          default -> null;
        });
  }

  static List<Object> pairs(Map<?, ?> map) {
    Limits.list(4L * map.size());
    List<Object> pairs = new ArrayList<>();
    map.forEach((key, value) -> pairs.add(new Tuple(List.of(key, value))));
    return pairs;
  }

  private static Optional<Callable> ofList(List<?> list, String name) {
    return Optional.ofNullable(
        switch (name) {
          case "copy" -> a -> list;
          case "count" -> a -> count(list, a.require(0, "x"));
          case "index" ->
              a -> {
                Object wanted = a.require(0, "x");
                for (int i = 0; i < list.size(); i++) {
                  if (Order.areEqual(list.get(i), wanted)) {
                    return (long) i;
                  }
                }
                throw JinjaException.evaluation("value is not in list");
              };
          default -> null;
        });
  }

  private static long count(List<?> list, Object wanted) {
    long count = 0;
    for (Object item : list) {
      count += Order.areEqual(item, wanted) ? 1 : 0;
    }
    return count;
  }

  /**
   * A method of a text. The way through the text is counted here, and a text that comes of it and
   * is not longer.
   */
  private static Optional<Callable> ofString(String text, String name) {
    return method(text, name)
        .map(
            method ->
                a -> {
                  Limits.read(text.length());
                  Object value = method.call(a);
                  return value instanceof String made ? Limits.written(made) : value;
                });
  }

  private static Optional<Callable> method(String text, String name) {
    return Optional.ofNullable(
        switch (name) {
          case "strip" -> a -> strip(text, a, true, true);
          case "lstrip" -> a -> strip(text, a, true, false);
          case "rstrip" -> a -> strip(text, a, false, true);
          case "split" -> a -> split(text, a, false);
          case "rsplit" -> a -> split(text, a, true);
          case "splitlines" -> a -> Strings.lines(text);
          case "startswith" -> a -> affixes(a).stream().anyMatch(text::startsWith);
          case "endswith" -> a -> affixes(a).stream().anyMatch(text::endsWith);
          case "replace" -> a -> replace(text, a);
          case "removeprefix" ->
              a -> text.startsWith(a.text(0, "p")) ? text.substring(a.text(0, "p").length()) : text;
          case "removesuffix" ->
              a ->
                  text.endsWith(a.text(0, "s"))
                      ? text.substring(0, text.length() - a.text(0, "s").length())
                      : text;
          case "upper" -> a -> text.toUpperCase(Locale.ROOT);
          case "lower" -> a -> text.toLowerCase(Locale.ROOT);
          case "title" -> a -> Strings.title(text);
          case "capitalize" -> a -> Strings.capitalize(text);
          case "join" -> a -> join(Values.items(a.require(0, "iterable")), text);
          case "find" -> a -> place(text, Search.of(part(a)).next(text, 0));
          case "rfind" -> a -> place(text, Strings.lastIndexOf(text, part(a)));
          case "count" -> a -> Search.of(nonEmpty(a.text(0, "sub"))).count(text);
          case "isdigit" -> a -> all(text, Character::isDigit);
          case "isalpha" -> a -> all(text, Character::isLetter);
          case "isalnum" -> a -> all(text, Character::isLetterOrDigit);
          case "isspace" -> a -> all(text, Strings::isSpace);
          case "isupper" ->
              a -> text.equals(text.toUpperCase(Locale.ROOT)) && any(text, Character::isUpperCase);
          case "islower" ->
              a -> text.equals(text.toLowerCase(Locale.ROOT)) && any(text, Character::isLowerCase);
          default -> null;
        });
  }

  private static String part(Arguments arguments) {
    return arguments.atMost(1).text(0, "sub");
  }

  private static boolean all(String text, IntPredicate test) {
    return !text.isEmpty() && text.codePoints().allMatch(test);
  }

  private static boolean any(String text, IntPredicate test) {
    return text.codePoints().anyMatch(test);
  }

  private static String nonEmpty(String separator) {
    if (separator.isEmpty()) {
      throw JinjaException.evaluation("empty separator");
    }
    return separator;
  }

  private static long place(String text, int index) {
    return index < 0 ? -1 : text.codePointCount(0, index);
  }

  static String strip(String text, Arguments arguments, boolean left, boolean right) {
    Optional<String> characters = arguments.atMost(1, "chars").optionalText(0, "chars");
    if (characters.isPresent()) {
      Limits.write(ANY_SIZE * characters.get().length());
      return Strings.strip(text, characters.get(), left, right);
    }
    String stripped = left ? Strings.lstrip(text) : text;
    return right ? Strings.rstrip(stripped) : stripped;
  }

  private static List<Object> split(String text, Arguments a, boolean fromRight) {
    long most = a.atMost(2, "sep", "maxsplit").integer(1, "maxsplit", -1);
    Optional<String> separator = a.optionalText(0, "sep");
    if (separator.isEmpty()) {
      if (fromRight && most >= 0) {
        throw JinjaException.evaluation("rsplit: expected a separator with maxsplit");
      }
      return Strings.words(text, most);
    }
    return fromRight
        ? Strings.rsplit(text, nonEmpty(separator.get()), most)
        : Strings.split(text, nonEmpty(separator.get()), most);
  }

  private static List<String> affixes(Arguments arguments) {
    Object affix = arguments.atMost(1).require(0, "prefix");
    if (affix instanceof Tuple tuple) {
      Limits.list(tuple.size());
      return tuple.stream().map(Printed::text).map(Methods::looked).toList();
    }
    return List.of(looked(arguments.text(0, "prefix")));
  }

  private static String looked(String text) {
    Limits.read(text.length());
    return text;
  }

  static String replace(String text, Arguments a) {
    String old = a.atMost(3, "old", "new", "count").text(0, "old");
    return Strings.replace(text, old, a.text(1, "new"), a.integer(2, "count", -1));
  }

  static String join(List<Object> items, String separator) {
    TextWriter out = new TextWriter();
    for (int i = 0; i < items.size(); i++) {
      Limits.visit(1);
      out.append(i > 0 ? separator : "").append(Printed.text(items.get(i)));
    }
    return out.toString();
  }
}
