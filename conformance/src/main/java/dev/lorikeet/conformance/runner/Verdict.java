package dev.lorikeet.conformance.runner;

/** Whether a rule is kept; the worse comes first. */
enum Verdict {
  /** A test saw it broken. */
  FAIL("FAIL"),
  /** All tests passed. */
  PASS("pass"),
  /** The rule has nothing to say about this implementation. */
  NOT_APPLICABLE("not applicable"),
  /** No test can check it. */
  UNTESTED("untested");

  private final String title;

  Verdict(String title) {
    this.title = title;
  }

  @Override
  public String toString() {
    return title;
  }
}
