package dev.lorikeet.files;

import java.util.Collection;
import java.util.Comparator;
import java.util.TreeSet;

/** Says which name was probably meant by one that nobody knows. */
public final class KnownNames {
  /** Longer ones are compared by their beginning. */
  private static final int LONGEST = 64;

  private KnownNames() {}

  /**
   * Returns what is wrong with a name: that it is unknown, which of the known ones is written
   * nearly like it, if any, and which there are.
   *
   * @param kind what is named, such as {@code key}
   * @param name untrusted
   */
  public static String unknown(String kind, String name, Collection<String> known) {
    String nearest =
        known.stream()
            .filter(k -> distance(name, k) <= Math.min(k.length() - 1, Math.max(1, k.length() / 3)))
            .min(Comparator.<String>comparingInt(k -> distance(name, k)).thenComparing(k -> k))
            .map(k -> "; did you mean '" + k + "'?")
            .orElse(";");
    return "unknown "
        + kind
        + " '"
        + Faults.show(name)
        + "'"
        + nearest
        + " known are "
        + String.join(", ", new TreeSet<>(known));
  }

  /** Levenshtein's distance, upper and lower case alike. */
  private static int distance(String name, String known) {
    String a = name.substring(0, Math.min(LONGEST, name.length()));
    int[] row = new int[known.length() + 1];
    for (int j = 0; j < row.length; j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j < row.length; j++) {
        boolean same =
            Character.toLowerCase(a.charAt(i - 1)) == Character.toLowerCase(known.charAt(j - 1));
        int replaced = diagonal + (same ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(replaced, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[known.length()];
  }
}
