package dev.lorikeet.plugin;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The settings of a provider, from their text form. Strict: a key that the provider does not name
 * is refused before anything else is done, and so is a value that is not written exactly as
 * expected. Every refusal is an {@link IllegalArgumentException} that names the provider, the key,
 * what was expected and what was found, so that a provider adds nothing to it:
 *
 * <pre>{@code
 * Options options = Options.of("router plugin 'nearest'", config.options(), "file", "k");
 * Path file = options.path("file");
 * int k = options.number("k", 2, 1, 16);
 * }</pre>
 *
 * <p>Immutable.
 */
public final class Options {
  private static final String ANY = "*";
  private static final Pattern DECIMAL =
      Pattern.compile("[-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?");

  private final String owner;
  private final SortedMap<String, String> values;

  private Options(String owner, SortedMap<String, String> values) {
    this.owner = owner;
    this.values = values;
  }

  /**
   * Returns settings whose keys are all known.
   *
   * @param owner whose they are, as errors call it, such as {@code base model plugin 'jlama'}
   * @param values the settings, from an application
   * @param known the keys there are; one that ends in {@code *}, such as {@code when.*}, stands for
   *     all longer keys that begin like it
   * @throws IllegalArgumentException if a key is unknown
   */
  public static Options of(String owner, Map<String, String> values, String... known) {
    SortedMap<String, String> sorted = Collections.unmodifiableSortedMap(new TreeMap<>(values));
    for (String key : sorted.keySet()) {
      if (Arrays.stream(known).noneMatch(name -> isMeant(key, name))) {
        throw new IllegalArgumentException(
            owner
                + ": unknown option '"
                + key
                + "'; known are "
                + new TreeSet<>(Arrays.asList(known)));
      }
    }
    return new Options(owner, sorted);
  }

  /**
   * Refuses every setting, for a provider that has none.
   *
   * @param owner whose they would be, as errors call it
   * @param values the settings, from an application
   * @throws IllegalArgumentException if there is one
   */
  public static void none(String owner, Map<String, String> values) {
    of(owner, values);
  }

  private static boolean isMeant(String key, String known) {
    int length = known.length() - ANY.length();
    return known.endsWith(ANY)
        ? key.length() > length && key.startsWith(known.substring(0, length))
        : key.equals(known);
  }

  /** Returns whether a key was given. */
  public boolean has(String key) {
    return values.containsKey(key);
  }

  /** Returns a text as it was given, or another one if it was not. */
  public String text(String key, String otherwise) {
    return values.getOrDefault(key, otherwise);
  }

  /** Returns a text that has to be given and not to be blank. */
  public String required(String key) {
    return required(key, "a value");
  }

  private String required(String key, String expected) {
    String value = values.getOrDefault(key, "");
    if (value.isBlank()) {
      throw refusal(key, expected);
    }
    return value;
  }

  /** Returns a path that has to be given; nothing is said of what is there. */
  public Path path(String key) {
    String expected = "a path";
    String value = required(key, expected);
    try {
      return Path.of(value);
    } catch (InvalidPathException e) {
      throw refusal(key, expected, e);
    }
  }

  /**
   * Returns names that are separated by commas, in their order, without the white space around
   * them; at least one has to be given.
   */
  public List<String> names(String key) {
    String expected = "names separated by commas";
    List<String> names = new ArrayList<>();
    for (String part : required(key, expected).split(",", -1)) {
      if (part.isBlank()) {
        throw refusal(key, expected);
      }
      names.add(part.strip());
    }
    return List.copyOf(names);
  }

  /** Returns whether {@code true} was given rather than {@code false}. */
  public boolean flag(String key, boolean otherwise) {
    return switch (text(key, Boolean.toString(otherwise))) {
      case "true" -> true;
      case "false" -> false;
      default -> throw refusal(key, "true or false");
    };
  }

  /** Returns a whole number between two bounds, both included. */
  public int number(String key, int otherwise, int least, int most) {
    return (int) number(key, (long) otherwise, least, most);
  }

  /** Returns a whole number between two bounds, both included. */
  public long number(String key, long otherwise, long least, long most) {
    if (!has(key)) {
      return otherwise;
    }
    String expected = "a whole number from " + least + " to " + most;
    long number;
    try {
      number = Long.parseLong(required(key, expected));
    } catch (NumberFormatException e) {
      throw refusal(key, expected, e);
    }
    if (number < least || number > most) {
      throw refusal(key, expected);
    }
    return number;
  }

  /** Returns a number between two bounds, both included. */
  public double decimal(String key, double otherwise, double least, double most) {
    if (!has(key)) {
      return otherwise;
    }
    String expected = "a number from " + least + " to " + most;
    String value = required(key, expected);
    if (!DECIMAL.matcher(value).matches()) { // else spaces, suffixes and NaN would pass
      throw refusal(key, expected);
    }
    double number = Double.parseDouble(value);
    if (number < least || number > most) {
      throw refusal(key, expected);
    }
    return number;
  }

  /**
   * Returns the constant whose name was given, in lower case and with hyphens for underscores.
   *
   * @param otherwise the constant if none was given
   */
  public <E extends Enum<E>> E choice(String key, E otherwise) {
    return choice(key, otherwise, EnumSet.allOf(otherwise.getDeclaringClass()));
  }

  /**
   * Returns the constant whose name was given, in lower case and with hyphens for underscores.
   *
   * @param otherwise the constant if none was given
   * @param allowed the constants that may be given
   */
  public <E extends Enum<E>> E choice(String key, E otherwise, Set<E> allowed) {
    if (!has(key)) {
      return otherwise;
    }
    String value = text(key, "");
    for (E choice : allowed) {
      if (nameOf(choice).equals(value)) {
        return choice;
      }
    }
    throw refusal(
        key,
        "one of "
            + allowed.stream().sorted().map(Options::nameOf).collect(Collectors.joining(", ")));
  }

  private static String nameOf(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /**
   * Returns the settings whose keys begin with a prefix such as {@code when.}, by the rest of their
   * keys, in its order. Unmodifiable.
   */
  public SortedMap<String, String> below(String prefix) {
    SortedMap<String, String> below = new TreeMap<>();
    values.forEach(
        (key, value) -> {
          if (key.startsWith(prefix) && key.length() > prefix.length()) {
            below.put(key.substring(prefix.length()), value);
          }
        });
    return Collections.unmodifiableSortedMap(below);
  }

  /**
   * Returns what to throw where a provider finds a value unfit that this class can't judge.
   *
   * @param key the key
   * @param expected what the value should have been, such as {@code a power of two}
   */
  public IllegalArgumentException refusal(String key, String expected) {
    String found = values.get(key);
    return new IllegalArgumentException(
        owner
            + ": option '"
            + key
            + "': expected "
            + expected
            + ", found "
            + (found == null ? "none" : "'" + found + "'"));
  }

  private IllegalArgumentException refusal(String key, String expected, Exception cause) {
    IllegalArgumentException refusal = refusal(key, expected);
    refusal.initCause(cause);
    return refusal;
  }
}
