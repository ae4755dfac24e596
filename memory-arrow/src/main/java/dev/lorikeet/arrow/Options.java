package dev.lorikeet.arrow;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

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

  private IllegalArgumentException unexpected(String key, String expected, String found) {
    return new IllegalArgumentException(
        owner + ": option '" + key + "': expected " + expected + ", found '" + found + "'");
  }
}
