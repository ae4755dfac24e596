package dev.lorikeet.cli.adapters;

import java.util.List;
import java.util.StringJoiner;

/** Writes layer numbers for people. */
final class Layers {
  private Layers() {}

  /**
   * Returns ascending numbers with runs drawn together, such as {@code 0-29} or {@code 0,4,8-9}.
   */
  static String text(List<Integer> layers) {
    StringJoiner text = new StringJoiner(",");
    for (int i = 0; i < layers.size(); ) {
      int last = i;
      while (last + 1 < layers.size() && layers.get(last + 1) == layers.get(last) + 1) {
        last++;
      }
      text.add(last == i ? "" + layers.get(i) : layers.get(i) + "-" + layers.get(last));
      i = last + 1;
    }
    return text.toString();
  }
}
