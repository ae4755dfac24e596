package dev.lorikeet.bench.process;

/** Why a contender can't be measured here. */
public final class NotAvailable extends Exception {
  private static final long serialVersionUID = 1;

  /** Says why. */
  public NotAvailable(String reason) {
    super(reason);
  }

  /** Returns why. */
  public String reason() {
    return String.valueOf(getMessage());
  }
}
