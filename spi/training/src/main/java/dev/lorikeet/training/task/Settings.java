package dev.lorikeet.training.task;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.KnownNames;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;

/**
 * The settings of one task: its own, and for keys that it does not have the defaults. A key that a
 * task sets to nothing has no default. A key may have several names, of which one may be used.
 * Errors name the place where the value is.
 *
 * @param own those of the task
 * @param defaults those of all tasks
 */
record Settings(JsonFile own, JsonFile defaults) {
  /** Where a value is: in a file under a key. */
  record Found(JsonFile in, String key, JsonNode value) {
    LorikeetException wrong(String expected) {
      return in.wrong(key, value, expected);
    }

    LorikeetException refuse(String sentence) {
      return Faults.CONFIG.refuse(in.where(key), sentence);
    }
  }

  /** Returns the value that is in force under any of the names of a key. */
  Optional<Found> find(String... names) {
    Optional<Found> mine = in(own, names);
    return (mine.isPresent() ? mine : in(defaults, names)).filter(found -> !found.value().isNull());
  }

  /** Returns the task's own value, which may be null. */
  Optional<Found> ownOf(String... names) {
    return in(own, names);
  }

  private static Optional<Found> in(JsonFile file, String... names) {
    List<String> used = Arrays.stream(names).filter(file.root()::has).toList();
    if (used.size() > 1) {
      throw Faults.CONFIG.refuse(
          file.source(), "expected one of " + String.join(", ", used) + ", found both");
    }
    return used.stream().findFirst().map(key -> new Found(file, key, file.root().path(key)));
  }

  OptionalInt integer(int min, int max, String... names) {
    Optional<Found> found = find(names);
    return found.isEmpty()
        ? OptionalInt.empty()
        : OptionalInt.of(
            found.get().in().integer(found.get().key(), found.get().value(), min, max));
  }

  /** Returns a whole number of 64 bits. */
  Optional<Long> whole(String... names) {
    return find(names)
        .map(
            found -> {
              if (!found.value().isIntegralNumber() || !found.value().canConvertToLong()) {
                throw found.wrong("a whole number of 64 bits");
              }
              return found.value().longValue();
            });
  }

  /** Returns a number above a limit. */
  OptionalDouble above(double limit, String... names) {
    return number(Math.nextUp(limit), "a number above " + limit, names);
  }

  /** Returns a number that is not below a limit. */
  OptionalDouble atLeast(double limit, String... names) {
    return number(limit, "a number of at least " + limit, names);
  }

  private OptionalDouble number(double min, String expected, String... names) {
    Optional<Found> found = find(names);
    return found.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(number(found.get(), min, expected));
  }

  private static double number(Found found, double min, String expected) {
    double number = found.value().doubleValue();
    if (!found.value().isNumber() || !(number >= min) || Double.isInfinite(number)) {
      throw found.wrong(expected);
    }
    return number;
  }

  boolean flag(String key, boolean otherwise) {
    return find(key).map(found -> found.in().bool(key, otherwise)).orElse(otherwise);
  }

  Optional<String> text(String... names) {
    return find(names).map(Settings::text);
  }

  private static String text(Found found) {
    if (!found.value().isTextual() || found.value().textValue().isEmpty()) {
      throw found.wrong("text");
    }
    return found.value().textValue();
  }

  /** Returns a text, or several of a list. */
  List<String> texts(Found found) {
    if (!found.value().isArray()) {
      return List.of(text(found));
    }
    List<String> texts = new ArrayList<>();
    for (JsonNode value : found.value()) {
      texts.add(text(new Found(found.in(), found.key() + "[" + texts.size() + "]", value)));
    }
    return texts;
  }

  /** Returns a path, relative to a folder if it is not absolute. */
  Optional<Path> path(Path folder, String... names) {
    return find(names).map(found -> path(folder, found));
  }

  static Path path(Path folder, Found found) {
    try {
      return folder.resolve(text(found)).normalize();
    } catch (InvalidPathException e) {
      throw Faults.CONFIG.invalid(
          found.in().where(found.key()), "a path", found.value().toString(), e);
    }
  }

  /** Returns what a word stands for. */
  static <T> T choice(Found found, String kind, String word, Map<String, T> choices) {
    T choice = choices.get(word);
    if (choice == null) {
      throw found.refuse(KnownNames.unknown(kind, word, choices.keySet()));
    }
    return choice;
  }

  <T> Optional<T> choice(String kind, Map<String, T> choices, String... names) {
    return find(names).map(found -> choice(found, kind, text(found), choices));
  }

  /** Refuses what a task itself says, but what is of no use to it; defaults may serve others. */
  void unused(String why, List<String> keys) {
    for (String key : keys) {
      ownOf(key)
          .filter(found -> !found.value().isNull())
          .ifPresent(
              found -> {
                throw found.refuse("expected nothing, since " + why);
              });
    }
  }
}
