package dev.lorikeet.bench.machine;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;

/**
 * What a figure was measured on.
 *
 * @param cpu the processor's own name for itself
 * @param cores processors that the JVM may use
 * @param vectorBits width of the widest vector that the JVM prefers
 * @param memoryBytes memory of the machine; 0 if unknown
 * @param os operating system and architecture
 * @param jdk vendor and version
 */
public record Machine(
    String cpu, int cores, int vectorBits, long memoryBytes, String os, String jdk) {
  /** Describes this machine. */
  public static Machine here() {
    return new Machine(
        entry(Path.of("/proc/cpuinfo"), "model name").orElse(System.getProperty("os.arch", "")),
        Runtime.getRuntime().availableProcessors(),
        FloatVector.SPECIES_PREFERRED.vectorBitSize(),
        kibibytes(Path.of("/proc/meminfo"), "MemTotal"),
        System.getProperty("os.name")
            + " "
            + System.getProperty("os.version")
            + " "
            + System.getProperty("os.arch"),
        System.getProperty("java.vm.vendor") + " " + System.getProperty("java.runtime.version"));
  }

  /** Returns the resident memory of this process in bytes; 0 where the system does not tell. */
  public static long residentBytes() {
    return kibibytes(Path.of("/proc/self/status"), "VmRSS");
  }

  /** Returns the most that {@link #residentBytes} has been; 0 where the system does not tell. */
  public static long peakBytes() {
    return kibibytes(Path.of("/proc/self/status"), "VmHWM");
  }

  /**
   * Returns the resident memory of this process that no file backs, in bytes: mapped weights count
   * as a file's. 0 where the system does not tell.
   */
  public static long anonymousBytes() {
    return kibibytes(Path.of("/proc/self/status"), "RssAnon");
  }

  private static long kibibytes(Path file, String key) {
    return entry(file, key)
        .map(value -> Long.parseLong(value.replace("kB", "").strip()) * 1024)
        .orElse(0L);
  }

  private static Optional<String> entry(Path file, String key) {
    try (Stream<String> lines = Files.lines(file)) {
      return lines
          .filter(line -> line.startsWith(key))
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }
}
