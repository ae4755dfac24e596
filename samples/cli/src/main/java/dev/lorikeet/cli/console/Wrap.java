package dev.lorikeet.cli.console;

import java.util.ArrayList;
import java.util.List;
import org.jline.utils.WCWidth;

/** Breaks text into lines of a width in terminal cells, between words where it can. */
public final class Wrap {
  private static final int TAB = 4;

  private Wrap() {}

  /** Returns the lines, none wider than {@code width}, which is at least 2. */
  public static List<String> lines(String text, int width) {
    List<String> lines = new ArrayList<>();
    for (String paragraph : text.replace("\t", " ".repeat(TAB)).split("\\R", -1)) {
      wrap(paragraph, width, lines);
    }
    return lines;
  }

  private static void wrap(String paragraph, int width, List<String> lines) {
    int start = 0; // of the line
    int cells = 0; // of the line so far
    int blank = -1; // the last blank of the line
    int i = 0;
    while (i < paragraph.length()) {
      int c = paragraph.codePointAt(i);
      int size = Math.max(0, WCWidth.wcwidth(c));
      if (cells + size > width) {
        int end = c == ' ' ? i : blank > start ? blank : i;
        lines.add(paragraph.substring(start, end));
        start = end < paragraph.length() && paragraph.charAt(end) == ' ' ? end + 1 : end;
        i = start;
        cells = 0;
        blank = -1;
        continue;
      }
      if (c == ' ') {
        blank = i;
      }
      cells += size;
      i += Character.charCount(c);
    }
    lines.add(paragraph.substring(start));
  }

  /** Returns how many terminal cells a line takes. */
  public static int cells(String line) {
    return line.codePoints().map(c -> Math.max(0, WCWidth.wcwidth(c))).sum();
  }

  /** Returns a line filled up with blanks, or cut, to a width. */
  public static String fit(String line, int width) {
    String cut = line;
    while (cells(cut) > width) {
      cut = cut.substring(0, cut.offsetByCodePoints(cut.length(), -1));
    }
    return cut + " ".repeat(width - cells(cut));
  }
}
