package dev.lorikeet.bench.output;

import java.util.List;

/** Median and extremes of some figures. */
public record Statistic(double median, double min, double max) {
  /** Returns those of at least one value. */
  public static Statistic of(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    int n = sorted.size();
    return new Statistic(
        (sorted.get((n - 1) / 2) + sorted.get(n / 2)) / 2, sorted.getFirst(), sorted.getLast());
  }
}
