package dev.lorikeet.bench.train;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Tasks that train at once: of each, how long its sequences are, one a step.
 *
 * @param title such as {@code 3x64+1x512}
 * @param lengths tokens of a step, task by task
 */
record Mix(String title, List<Integer> lengths) {
  private static final Pattern PART = Pattern.compile("(\\d{1,3})x(\\d{1,5})");
  private static final int MOST_STEPS = 8;
  private static final int SPECIAL_IDS = 3;

  Mix {
    lengths = List.copyOf(lengths);
  }

  /** Reads a mix from the command line. */
  static final class Converter implements ITypeConverter<Mix> {
    @Override
    public Mix convert(String text) {
      List<Integer> lengths = new ArrayList<>();
      for (String part : text.split("\\+", -1)) {
        Matcher matcher = PART.matcher(part);
        if (!matcher.matches()) {
          throw wrong(text);
        }
        int length = Integer.parseInt(matcher.group(2));
        for (int i = 0; i < Integer.parseInt(matcher.group(1)); i++) {
          lengths.add(length);
        }
        if (length < 2) {
          throw wrong(text);
        }
      }
      if (lengths.isEmpty()) {
        throw wrong(text);
      }
      return new Mix(text, lengths);
    }

    private static TypeConversionException wrong(String text) {
      return new TypeConversionException(
          "expected tasks by sequence length of at least 2, such as 4x64 or 3x64+1x512, found "
              + text);
    }
  }

  int tasks() {
    return lengths.size();
  }

  /** Returns the tokens of a step of all tasks. */
  int tokens() {
    return lengths.stream().mapToInt(Integer::intValue).sum();
  }

  /** Returns how many steps are measured so that about so many tokens are, at least two. */
  int steps(int tokens) {
    return Math.clamp(tokens / tokens(), 2, MOST_STEPS);
  }

  /**
   * Returns random sequences.
   *
   * @param steps how many of each task
   * @param vocabulary ids are below
   * @param seed the same gives the same
   */
  List<List<List<Integer>>> ids(int steps, int vocabulary, long seed) {
    SplittableRandom seeds = new SplittableRandom(seed);
    List<List<List<Integer>>> all = new ArrayList<>();
    for (int length : lengths) {
      List<List<Integer>> task = new ArrayList<>();
      for (int step = 0; step < steps; step++) {
        task.add(seeds.split().ints(length, SPECIAL_IDS, vocabulary).boxed().toList());
      }
      all.add(task);
    }
    return all;
  }
}
