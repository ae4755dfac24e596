package dev.lorikeet.arrow;

import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** The textual settings of a provider, checked. */
record Options(String owner, Map<String, String> values, Set<String> known) {
  Options {
    for (String key : new TreeSet<>(values.keySet())) {
      if (!known.contains(key)) {
        throw new IllegalArgumentException(
            owner + ": unknown option '" + key + "'; known are " + new TreeSet<>(known));
      }
    }
  }

  boolean flag(String key, boolean otherwise) {
    String value = values.getOrDefault(key, Boolean.toString(otherwise));
    return switch (value) {
      case "true" -> true;
      case "false" -> false;
      default -> throw unexpected(key, "true or false", value);
    };
  }

  int number(String key, int otherwise, int least, int most) {
    String value = values.getOrDefault(key, Integer.toString(otherwise));
    String expected = "a whole number from " + least + " to " + most;
    int number;
    try {
      number = Integer.parseInt(value);
    } catch (NumberFormatException e) {
      throw unexpected(key, expected, value);
    }
    if (number < least || number > most) {
      throw unexpected(key, expected, value);
    }
    return number;
  }

  /** Returns the constant whose name in small letters the value is. */
  <E extends Enum<E>> E choice(String key, E otherwise) {
    String value = values.getOrDefault(key, nameOf(otherwise));
    List<E> choices = List.of(otherwise.getDeclaringClass().getEnumConstants());
    for (E choice : choices) {
      if (nameOf(choice).equals(value)) {
        return choice;
      }
    }
    String known = choices.stream().map(Options::nameOf).collect(Collectors.joining(", "));
    throw unexpected(key, "one of " + known, value);
  }

  private static String nameOf(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT);
  }

  private IllegalArgumentException unexpected(String key, String expected, String found) {
    return new IllegalArgumentException(
        owner + ": option '" + key + "': expected " + expected + ", found '" + found + "'");
  }
}
