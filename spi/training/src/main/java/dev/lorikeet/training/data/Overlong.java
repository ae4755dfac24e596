package dev.lorikeet.training.data;

/** What becomes of an example that has more tokens than a sequence may have. */
public enum Overlong {
  /** It is an error, named by file and line. */
  REFUSE,
  /**
   * Its end is cut off, of a preference the ends of the answers; it is left out if no token with a
   * loss remains.
   */
  TRUNCATE,
  /** It is left out. */
  LEAVE_OUT
}
