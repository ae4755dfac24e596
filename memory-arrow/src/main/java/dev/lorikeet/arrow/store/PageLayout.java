package dev.lorikeet.arrow.store;

import dev.lorikeet.adapter.TargetSpec;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Where each row of each factor of an adapter lies in its pages. A row never straddles two pages,
 * since pages lie anywhere in the pool.
 */
final class PageLayout {
  /*
   * Idea: first-fit decreasing bin packing. An adapter has thousands of rows but few different sizes, so rows are
   * grouped by size and each page is filled from the largest group down.
   * Layout: a row's place is a logical offset: the number of its page within the adapter times the page size, plus the
   * offset in the page. Factors are numbered 2 * target for A and 2 * target + 1 for B; rows of one factor stay in
   * order and mostly adjacent.
   * Rows begin at multiples of 64 bytes, a cache line and the widest vector, unless that would cost more than 2 % of
   * the row; then of 32, 16, 8 or 4.
   * Cost: O(rows + pages * sizes). Waste: below 5 % at 64 KiB pages for rows of up to a third of a page, besides the
   * last page; see the README for figures.
   */
  private static final int MAX_ALIGNMENT = 64;
  private static final int MIN_ALIGNMENT = 4;
  private static final int ALIGNMENT_COST_LIMIT = 50; // a fiftieth of the row

  private final int pageBytes;
  private final long[][] rows;
  private final int pages;

  private PageLayout(int pageBytes, long[][] rows, int pages) {
    this.pageBytes = pageBytes;
    this.rows = rows;
    this.pages = pages;
  }

  /** Rows of one size, of any number of factors. */
  private static final class SizeClass {
    private final int rowBytes;
    private final int alignment;
    private final List<Integer> factors = new ArrayList<>();
    private int factor;
    private int row;

    SizeClass(int rowBytes) {
      this.rowBytes = rowBytes;
      this.alignment = alignmentOf(rowBytes);
    }

    boolean isEmpty() {
      return factor == factors.size();
    }

    /** Places as many rows as fit into a page from {@code offset} on; returns the new offset. */
    int fill(long[][] rows, long pageStart, int offset, int pageBytes) {
      int at = roundUp(offset, alignment);
      int end = offset;
      while (!isEmpty() && at + rowBytes <= pageBytes) {
        long[] places = rows[factors.get(factor)];
        places[row] = pageStart + at;
        end = at + rowBytes;
        at = roundUp(end, alignment);
        if (++row == places.length) {
          factor++;
          row = 0;
        }
      }
      return end;
    }
  }

  /** Returns the largest row of an adapter in bytes. */
  static int longestRow(List<TargetSpec> targets) {
    return targets.stream().mapToInt(t -> Math.max(t.aRowBytes(), t.bRowBytes())).max().orElse(0);
  }

  /** Plans the pages of an adapter; every row must fit in one. */
  static PageLayout of(List<TargetSpec> targets, int pageBytes) {
    long[][] rows = new long[2 * targets.size()][];
    TreeMap<Integer, SizeClass> classes = new TreeMap<>(Comparator.reverseOrder());
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      add(classes, rows, 2 * t, spec.aRowBytes(), spec.rank());
      add(classes, rows, 2 * t + 1, spec.bRowBytes(), spec.rank());
    }
    if (!classes.isEmpty() && classes.firstKey() > pageBytes) {
      throw new IllegalArgumentException(
          "layout: expected rows of at most " + pageBytes + " bytes, found " + classes.firstKey());
    }
    int pages = 0;
    while (!classes.isEmpty()) {
      long pageStart = (long) pages * pageBytes;
      int offset = 0;
      for (SizeClass size : classes.values()) {
        offset = size.fill(rows, pageStart, offset, pageBytes);
      }
      classes.values().removeIf(SizeClass::isEmpty);
      pages++;
    }
    return new PageLayout(pageBytes, rows, pages);
  }

  private static void add(
      Map<Integer, SizeClass> classes, long[][] rows, int factor, int rowBytes, int rank) {
    rows[factor] = new long[rank];
    classes.computeIfAbsent(rowBytes, SizeClass::new).factors.add(factor);
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
    return pages;
  }

  /** Returns the byte offsets of all rows in the pool by factor, given the adapter's pages. */
  long[][] rowOffsets(int[] pageNumbers) {
    long[][] offsets = new long[rows.length][];
    for (int factor = 0; factor < rows.length; factor++) {
      offsets[factor] = rowOffsets(factor, pageNumbers);
    }
    return offsets;
  }

  /** Returns the byte offsets of a factor's rows in the pool, given the adapter's pages. */
  long[] rowOffsets(int factor, int[] pageNumbers) {
    long[] offsets = rows[factor].clone();
    for (int r = 0; r < offsets.length; r++) {
      long logical = offsets[r];
      offsets[r] =
          (long) pageNumbers[(int) (logical / pageBytes)] * pageBytes + logical % pageBytes;
    }
    return offsets;
  }
}
