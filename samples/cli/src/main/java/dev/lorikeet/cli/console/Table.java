package dev.lorikeet.cli.console;

import java.io.PrintWriter;
import java.util.List;
import java.util.stream.IntStream;

/** Prints rows in columns as wide as they need to be. */
public final class Table {
  private Table() {}

  /** Prints rows, which may differ in length. */
  public static void print(PrintWriter out, List<List<String>> rows) {
    int columns = rows.stream().mapToInt(List::size).max().orElse(0);
    int[] widths =
        IntStream.range(0, columns)
            .map(
                c ->
                    rows.stream()
                        .mapToInt(row -> c < row.size() ? Wrap.cells(row.get(c)) : 0)
                        .max()
                        .orElse(0))
            .toArray();
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int c = 0; c < row.size(); c++) {
        line.append(Wrap.fit(row.get(c), widths[c])).append("  ");
      }
      out.println(line.toString().stripTrailing());
    }
  }
}
