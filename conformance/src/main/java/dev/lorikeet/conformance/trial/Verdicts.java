package dev.lorikeet.conformance.trial;

/** How aborted tests say what kind of abort it is, so that reports can tell. */
public final class Verdicts {
  public static final String NOT_APPLICABLE = "not applicable: ";
  public static final String UNTESTED = "untested: ";

  private Verdicts() {}
}
