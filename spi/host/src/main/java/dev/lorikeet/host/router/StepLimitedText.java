package dev.lorikeet.host.router;

/**
 * A text that a regular expression may look at so many times and no more: the JDK's matcher
 * backtracks, and a pattern that somebody wrote without care could take years on a prompt that
 * somebody else sends. Not thread-safe; made for one match.
 */
final class StepLimitedText implements CharSequence {
  /** The text was looked at too often. */
  static final class TooManySteps extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TooManySteps(long steps) {
      super("took more than " + steps + " steps");
    }
  }

  private static final long STEPS = 1_000_000;
  private static final long STEPS_PER_CHARACTER = 100;

  private final String text;
  private final long limit;
  private long steps;

  StepLimitedText(String text) {
    this.text = text;
    this.limit = STEPS + STEPS_PER_CHARACTER * text.length();
  }

  @Override
  public char charAt(int index) {
    if (++steps > limit) {
      throw new TooManySteps(limit);
    }
    return text.charAt(index);
  }

  @Override
  public int length() {
    return text.length();
  }

  @Override
  public CharSequence subSequence(int start, int end) {
    return text.subSequence(start, end);
  }

  @Override
  public String toString() {
    return text;
  }
}
