package dev.lorikeet.training.data;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.Faults;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What was found in a file so far: examples, and lines that are none. */
final class Reading {
  /** How many bad lines are told. */
  private static final int TOLD = 5;

  /** After how many bad lines it makes no sense to go on. */
  private static final int ENOUGH = 1000;

  private final Path file;
  private final List<Example> examples = new ArrayList<>();
  private final List<LorikeetException> told = new ArrayList<>();
  private int bad;
  private int truncated;
  private int leftOut;
  private String kind = "";
  private long kindLine;
  private long line;

  Reading(Path file) {
    this.file = file;
  }

  void at(long number) {
    line = number;
  }

  long line() {
    return line;
  }

  /** The first example decides what all others must be. */
  void checkKind(String where, Example example) {
    if (kindLine == 0) {
      kindLine = line;
      kind = kind(example);
    } else if (!kind(example).equals(kind)) {
      throw Faults.DATA.invalid(where, kind + " as in line " + kindLine, kind(example));
    }
  }

  private static String kind(Example example) {
    return switch (example) {
      case Example.Text text -> "a text";
      case Example.Preference preference -> "a preference";
      case Example.Paraphrase paraphrase -> "a paraphrase";
    };
  }

  void add(Example example) {
    examples.add(example);
  }

  void addShortened(Example example) {
    truncated++;
    examples.add(example);
  }

  void leaveOut() {
    leftOut++;
  }

  void bad(LorikeetException e) {
    bad++;
    examples.clear(); // nobody will see them
    if (told.size() < TOLD) {
      told.add(e);
    }
  }

  boolean enough() {
    return bad == ENOUGH;
  }

  void clear() {
    examples.clear();
  }

  ExampleSet result() {
    if (bad > 0) {
      throw badLines();
    }
    if (examples.isEmpty()) {
      throw Faults.DATA.invalid(
          file,
          "at least one example",
          leftOut == 0 ? "none" : "none but " + leftOut + " that are too long");
    }
    return new ExampleSet(examples, truncated, leftOut);
  }

  private LorikeetException badLines() {
    StringBuilder message = new StringBuilder();
    if (bad > 1) {
      message.append(bad).append(enough() ? " bad lines and perhaps more: " : " bad lines: ");
    }
    for (int i = 0; i < told.size(); i++) {
      message.append(i == 0 ? "" : "; ").append(told.get(i).getMessage());
    }
    if (bad > told.size()) {
      message.append("; and ").append(bad - told.size()).append(" more");
    }
    return Faults.DATA.refuse(file, message.toString(), told.getFirst());
  }
}
