package dev.lorikeet.tensor;

/**
 * Where a tensor lives: the host, or a device that some executor owns.
 *
 * @param kind {@code "host"} or the executor's own word, such as {@code "cuda"}; lower case
 * @param ordinal the number of the device among its kind, from 0
 */
public record Device(String kind, int ordinal) {
  /** Memory that this process may dereference. */
  public static final Device HOST = new Device("host", 0);

  public Device {
    if (kind.isBlank() || ordinal < 0) {
      throw new IllegalArgumentException(
          "device: expected a kind and an ordinal >= 0, found '" + kind + "' and " + ordinal);
    }
  }

  /** Returns whether memory on this device may be dereferenced by this process. */
  public boolean isHost() {
    return equals(HOST);
  }

  @Override
  public String toString() {
    return isHost() ? kind : kind + ":" + ordinal;
  }
}
