package dev.lorikeet.plugin;

/**
 * Whether a provider can be used on this machine, and why: what a provider says of itself, and what
 * discovery found out about it.
 */
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
   * @param detail what is missing: no driver, no device, wrong architecture
   */
  record Unavailable(String detail) implements Availability {}

  /**
   * The provider could not be loaded, or failed when it was asked. Discovery's word: a provider
   * that is able to answer is {@link Available} or {@link Unavailable}, and never returns this.
   *
   * @param detail the failure and what caused it
   */
  record Failed(String detail) implements Availability {}

  /** Returns the reason or detail in one line. */
  String detail();

  /** Returns an {@link Available} state. */
  static Availability available(String detail) {
    return new Available(detail);
  }

  /** Returns an {@link Unavailable} state. */
  static Availability unavailable(String reason) {
    return new Unavailable(reason);
  }
}
