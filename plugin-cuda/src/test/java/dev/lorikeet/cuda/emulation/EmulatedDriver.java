package dev.lorikeet.cuda.emulation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.cuda.binding.DriverLibrary;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * Puts the emulation of the CUDA driver, with the kernels' own sources compiled for this CPU, in
 * the place of NVIDIA's library. Needs g++; without it the test that asks is skipped.
 */
public final class EmulatedDriver {
  private static final Path LIBRARY =
      Path.of("target", "emulation", "libcuda-emulated.so").toAbsolutePath();
  private static final List<Path> SOURCES =
      List.of(Path.of("src", "test", "emulation"), Path.of("src", "main", "cuda"));

  /** The system property that leaves NVIDIA's library in its place, to run tests on a GPU. */
  private static final String ON_GPU = "lorikeet.cuda.gpu";

  private static int uncounted;

  private EmulatedDriver() {}

  /** Call this before anything else touches CUDA in this process. */
  public static void install() {
    if (Boolean.getBoolean(ON_GPU)) {
      return;
    }
    assumeTrue(NativeCompiler.isThere(), "g++ is not there: the kernels' sources were not run");
    build();
    System.setProperty(DriverLibrary.PROPERTY, LIBRARY.toString());
  }

  private static void build() {
    try {
      if (Files.exists(LIBRARY) && Files.getLastModifiedTime(LIBRARY).toMillis() > newestSource()) {
        return;
      }
      Process build =
          new ProcessBuilder("src/test/emulation/build", LIBRARY.toString())
              .redirectErrorStream(true)
              .start();
      String output = new String(build.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertEquals(0, build.waitFor(), output);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException(e);
    }
  }

  private static long newestSource() throws IOException {
    long newest = 0;
    for (Path folder : SOURCES) {
      try (Stream<Path> files = Files.list(folder)) {
        Path latest =
            files.max(Comparator.comparingLong(f -> f.toFile().lastModified())).orElseThrow();
        newest = Math.max(newest, Files.getLastModifiedTime(latest).toMillis());
      }
    }
    return newest;
  }

  /**
   * Returns how often a kernel was launched in this process; on a GPU, where nobody counts, a
   * number larger than the one before.
   */
  public static int launches(String kernel) {
    if (Boolean.getBoolean(ON_GPU)) {
      return ++uncounted;
    }
    try (Arena arena = Arena.ofConfined()) {
      return (int)
          Linker.nativeLinker()
              .downcallHandle(
                  symbol("emulation_launches"),
                  FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS))
              .invokeExact(arena.allocateFrom(kernel));
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** Returns how many device allocations there are; 0 on a GPU, where nobody counts. */
  public static int allocations() {
    return Boolean.getBoolean(ON_GPU) ? 0 : count("emulation_allocations");
  }

  /**
   * Returns how many launches had thread blocks that began before the launch in front of them; on a
   * GPU, where nobody counts, a number larger than the one before.
   */
  public static int overlapped() {
    return Boolean.getBoolean(ON_GPU) ? ++uncounted : count("emulation_overlapped");
  }

  private static int count(String counter) {
    try {
      return (int)
          Linker.nativeLinker()
              .downcallHandle(symbol(counter), FunctionDescriptor.of(ValueLayout.JAVA_INT))
              .invokeExact();
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static java.lang.foreign.MemorySegment symbol(String name) {
    return SymbolLookup.libraryLookup(LIBRARY, Arena.global()).findOrThrow(name);
  }
}
