package dev.lorikeet.plugin;

/** Whether a provider can work on this machine, and why. */
public sealed interface Availability {
  /**
   * The provider works here.
   *
   * @param detail what it found, such as the width of the vector unit or the name of the device;
   *     may be empty
   */
  record Available(String detail) implements Availability {}

  /**
   * The provider cannot work here.
   *
   * @param reason what is missing, in one line: no driver, no device, wrong architecture
   */
  record Unavailable(String reason) implements Availability {}

  /** Returns an {@link Available} state. */
  static Availability available(String detail) {
    return new Available(detail);
  }

  /** Returns an {@link Unavailable} state. */
  static Availability unavailable(String reason) {
    return new Unavailable(reason);
  }
}
