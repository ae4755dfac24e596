package dev.lorikeet.text.jinja;

/** A template that cannot be parsed or rendered. */
public final class JinjaException extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private static final int LONGEST = 2000;

  /** Who is at fault. */
  public enum Kind {
    /** The template is not Jinja, or uses what is not supported. */
    SYNTAX,
    /** The template refused its input with {@code raise_exception}. */
    RAISED,
    /** The template failed on its input, as it would in Python. */
    EVALUATION,
    /** The template took more steps, work, memory or time than it may. */
    LIMIT
  }

  private final Kind kind;

  JinjaException(Kind kind, String message) {
    super(message.length() > LONGEST ? message.substring(0, LONGEST) + "..." : message);
    this.kind = kind;
  }

  static JinjaException syntax(int line, String message) {
    return new JinjaException(Kind.SYNTAX, "line " + line + ": " + message);
  }

  static JinjaException evaluation(String message) {
    return new JinjaException(Kind.EVALUATION, message);
  }

  static JinjaException limit(String message) {
    return new JinjaException(Kind.LIMIT, message);
  }

  /** Returns who is at fault. */
  public Kind kind() {
    return kind;
  }
}
