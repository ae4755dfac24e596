package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.adapter.WeightPlaces;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Where each row of an adapter lies in its pages. A row never straddles two pages, since pages lie
 * anywhere in the pool, unless it is longer than a page: such rows lie in runs of adjacent pages.
 */
final class PageLayout {
  /*
   * Idea: first-fit decreasing bin packing. An adapter has thousands of rows but few different sizes, so rows are
   * grouped by size and each page is filled from the largest group down.
   * Layout: a row's place is a logical offset: the number of its page within the adapter times the page size, plus the
   * offset in the page. Rows of one factor stay in order and mostly adjacent. Vectors are rows like others. Rows longer
   * than a page (of the output layer's B, one element per token of the vocabulary) follow one another in a run of pages
   * for each factor, behind all single pages.
   * Rows begin at multiples of 64 bytes, a cache line and the widest vector, unless that would cost more than 2 % of
   * the row; then of 32, 16, 8 or 4.
   * Cost: O(rows + pages * sizes). Waste: below 5 % at 64 KiB pages for rows of up to a third of a page, besides the
   * last page; see the README for figures.
   */
  private static final int MAX_ALIGNMENT = 64;
  private static final int MIN_ALIGNMENT = 4;
  private static final int ALIGNMENT_COST_LIMIT = 50; // a fiftieth of the row

  private final int pageBytes;
  private final WeightPlaces places;
  private final int singles;
  private final int[] runs;

  private PageLayout(int pageBytes, WeightPlaces places, int singles, int[] runs) {
    this.pageBytes = pageBytes;
    this.places = places;
    this.singles = singles;
    this.runs = runs;
  }

  /** Rows of one size, of any number of factors. */
  private static final class SizeClass {
    private final int rowBytes;
    private final int alignment;
    private final List<long[]> groups = new ArrayList<>();
    private int group;
    private int row;

    SizeClass(int rowBytes) {
      this.rowBytes = rowBytes;
      this.alignment = alignmentOf(rowBytes);
    }

    boolean isEmpty() {
      return group == groups.size();
    }

    /** Places as many rows as fit into a page from {@code offset} on; returns the new offset. */
    int fill(long pageStart, int offset, int pageBytes) {
      int at = roundUp(offset, alignment);
      int end = offset;
      while (!isEmpty() && at + rowBytes <= pageBytes) {
        long[] places = groups.get(group);
        places[row] = pageStart + at;
        end = at + rowBytes;
        at = roundUp(end, alignment);
        if (++row == places.length) {
          group++;
          row = 0;
        }
      }
      return end;
    }
  }

  /** Plans the pages of an adapter's factors. */
  static PageLayout of(List<TargetSpec> targets, int pageBytes) {
    return of(targets, List.of(), Set.of(), pageBytes);
  }

  /**
   * Plans the pages of an adapter.
   *
   * @param parts what it has beside its factors
   * @param dropped indices of parts that are not kept
   */
  static PageLayout of(
      List<TargetSpec> targets, List<PartSpec> parts, Set<Integer> dropped, int pageBytes) {
    WeightPlaces places = WeightPlaces.empty(targets, parts);
    TreeMap<Integer, SizeClass> classes = new TreeMap<>(Comparator.reverseOrder());
    List<long[]> magnitudes = new ArrayList<>();
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      places.factors()[2 * t] = add(classes, spec.aRowBytes(), spec.rank());
      places.factors()[2 * t + 1] = add(classes, spec.bRowBytes(), spec.rank());
      magnitudes.add(
          spec.magnitude()
              ? add(classes, Math.multiplyExact(spec.outFeatures(), Float.BYTES), 1)
              : new long[] {WeightPlaces.NOWHERE});
    }
    for (int p = 0; p < parts.size(); p++) {
      PartSpec spec = parts.get(p);
      places.parts()[p] =
          dropped.contains(p) ? new long[0] : add(classes, spec.rowBytes(), spec.rows());
    }
    List<SizeClass> wide = List.copyOf(classes.headMap(pageBytes, false).values());
    classes.headMap(pageBytes, false).clear();
    int pages = 0;
    while (!classes.isEmpty()) {
      long pageStart = (long) pages * pageBytes;
      int offset = 0;
      for (SizeClass size : classes.values()) {
        offset = size.fill(pageStart, offset, pageBytes);
      }
      classes.values().removeIf(SizeClass::isEmpty);
      pages++;
    }
    int[] runs = placeRuns(wide, pages, pageBytes);
    for (int t = 0; t < magnitudes.size(); t++) {
      places.magnitudes()[t] = magnitudes.get(t)[0];
    }
    return new PageLayout(pageBytes, places, pages, runs);
  }

  private static long[] add(Map<Integer, SizeClass> classes, int rowBytes, int count) {
    long[] rows = new long[count];
    classes.computeIfAbsent(rowBytes, SizeClass::new).groups.add(rows);
    return rows;
  }

  /** Places rows longer than a page; returns the pages of each run. */
  private static int[] placeRuns(List<SizeClass> wide, int singles, int pageBytes) {
    List<Integer> runs = new ArrayList<>();
    long page = singles;
    for (SizeClass size : wide) {
      for (long[] rows : size.groups) {
        long stride = roundUp(size.rowBytes, MAX_ALIGNMENT);
        for (int r = 0; r < rows.length; r++) {
          rows[r] = page * pageBytes + r * stride;
        }
        long length = (rows.length * stride + pageBytes - 1) / pageBytes;
        runs.add(Math.toIntExact(length));
        page += length;
      }
    }
    return runs.stream().mapToInt(Integer::intValue).toArray();
  }

  private static int alignmentOf(int rowBytes) {
    int alignment = MAX_ALIGNMENT;
    while (alignment > MIN_ALIGNMENT
        && (long) (roundUp(rowBytes, alignment) - rowBytes) * ALIGNMENT_COST_LIMIT > rowBytes) {
      alignment /= 2;
    }
    return alignment;
  }

  private static int roundUp(int value, int alignment) {
    return (value + alignment - 1) & -alignment;
  }

  /** Returns the number of pages. */
  int pages() {
    return Math.toIntExact(singles + Arrays.stream(runs).asLongStream().sum());
  }

  /** Returns how many of the pages may lie anywhere: the first. */
  int singles() {
    return singles;
  }

  /** Returns the lengths of the runs of adjacent pages that follow. */
  int[] runs() {
    return runs.clone();
  }

  /** Returns the byte offsets of all rows in the pool, given the adapter's pages. */
  WeightPlaces places(int[] pageNumbers) {
    long[][] factors = new long[places.factors().length][];
    for (int factor = 0; factor < factors.length; factor++) {
      factors[factor] = rowOffsets(factor, pageNumbers);
    }
    long[] magnitudes = places.magnitudes().clone();
    for (int t = 0; t < magnitudes.length; t++) {
      if (magnitudes[t] != WeightPlaces.NOWHERE) {
        magnitudes[t] = inPool(magnitudes[t], pageNumbers);
      }
    }
    long[][] parts = new long[places.parts().length][];
    for (int part = 0; part < parts.length; part++) {
      parts[part] = inPool(places.parts()[part], pageNumbers);
    }
    return new WeightPlaces(factors, magnitudes, parts);
  }

  /** Returns the byte offsets of a factor's rows in the pool, given the adapter's pages. */
  long[] rowOffsets(int factor, int[] pageNumbers) {
    return inPool(places.factors()[factor], pageNumbers);
  }

  private long[] inPool(long[] logical, int[] pageNumbers) {
    long[] offsets = new long[logical.length];
    for (int r = 0; r < offsets.length; r++) {
      offsets[r] = inPool(logical[r], pageNumbers);
    }
    return offsets;
  }

  private long inPool(long logical, int[] pageNumbers) {
    return (long) pageNumbers[(int) (logical / pageBytes)] * pageBytes + logical % pageBytes;
  }
}
