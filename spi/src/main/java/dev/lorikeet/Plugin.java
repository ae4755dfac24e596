package dev.lorikeet;

/**
 * One provider that discovery found, whatever its state.
 *
 * @param kind the contract it is for
 * @param name the provider's name; its class name if it could not be asked
 * @param priority the provider's priority, 0 if it could not be asked
 * @param className the class that {@code META-INF/services} names; empty if not even that could be
 *     read
 * @param location the jar, folder or module it came from; empty if unknown
 * @param state whether it can be used, and why
 */
public record Plugin(
    PluginKind kind, String name, int priority, String className, String location, State state) {

  /** Whether a provider can be used. */
  public sealed interface State {
    /** Returns the reason or detail in one line. */
    String detail();
  }

  /** The provider can be used. */
  public record Ready(String detail) implements State {}

  /** The provider says that it cannot work on this machine. */
  public record Unavailable(String detail) implements State {}

  /** The provider could not be loaded, or failed when it was asked. */
  public record Failed(String detail) implements State {}

  /** Returns whether the provider can be used. */
  public boolean isReady() {
    return state instanceof Ready;
  }
}
