package dev.lorikeet.cli.console;

/** Text from files and models, made harmless for a terminal: no control characters of its own. */
public final class Visible {
  private Visible() {}

  /** Replaces control characters but line ends and tabs. */
  public static String text(String text) {
    return replace(text, false);
  }

  /** Replaces control characters, line ends and tabs by a blank. */
  public static String oneLine(String text) {
    return replace(text, true);
  }

  private static String replace(String text, boolean oneLine) {
    StringBuilder visible = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      boolean layout = c == '\n' || c == '\t' || c == '\r';
      if (layout) {
        visible.append(oneLine ? ' ' : c);
      } else {
        visible.append(Character.isISOControl(c) ? '\uFFFD' : c);
      }
    }
    return visible.toString();
  }
}
