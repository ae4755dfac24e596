package dev.lorikeet.conformance;

/** How aborted tests say what kind of abort it is, so that reports can tell. */
final class Verdicts {
  static final String NOT_APPLICABLE = "not applicable: ";
  static final String UNTESTED = "untested: ";

  private Verdicts() {}
}
