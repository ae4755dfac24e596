package dev.lorikeet.arrow.pool;

import java.lang.management.ManagementFactory;
import java.util.OptionalLong;

/** How much memory this machine, or the container around this process, has. */
final class MachineMemory {
  private MachineMemory() {}

  /** Returns the number of bytes, or empty where the JVM does not tell. */
  static OptionalLong bytes() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? OptionalLong.of(system.getTotalMemorySize())
        : OptionalLong.empty();
  }
}
