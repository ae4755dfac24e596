package dev.lorikeet.jlama.quantize;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Puts a directory into the place of another. For one process at a time.
 *
 * @param place where it will be
 */
record Replacement(Path place) {
  /*
   * Rename replaces a file in one instant, but no directory that has files. Linux and macOS can let two directories
   * change their places in one instant, on most file systems: then there is the old one or the new one at any time, and
   * the old one ends where the new one was made. Elsewhere the old one moves aside first, under a name that follows
   * from its own, and a process that is killed before the new one is there leaves it to the next one to move back.
   */
  private static final Logger LOGGER = System.getLogger(Replacement.class.getName());

  private static final class Holder {
    static final Optional<Exchange> EXCHANGE = Exchange.find();
  }

  private Path aside() {
    return place.resolveSibling(".lorikeet-replaced-" + place.getFileName());
  }

  /** Mends what a process left that was killed between two moves. */
  void recover() throws IOException {
    if (!Files.exists(aside())) {
      return;
    }
    if (Files.exists(place)) {
      delete(aside());
    } else {
      Files.move(aside(), place, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  private static void delete(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted((a, b) -> b.getNameCount() - a.getNameCount()).toList()) {
        Files.delete(file);
      }
    }
  }

  /**
   * Puts a directory into the place. What was there is then where the new one was, or nowhere.
   *
   * @param made the new one, on the same file system
   */
  void by(Path made) throws IOException {
    if (!Files.exists(place)) {
      Files.move(made, place, StandardCopyOption.ATOMIC_MOVE);
    } else if (Holder.EXCHANGE.isEmpty() || !Holder.EXCHANGE.get().exchange(made, place)) {
      byTwoMoves(made);
    }
  }

  /** As {@link #by}, where directories can't change their places in one instant. */
  void byTwoMoves(Path made) throws IOException {
    Files.move(place, aside(), StandardCopyOption.ATOMIC_MOVE);
    try {
      Files.move(made, place, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      Files.move(aside(), place, StandardCopyOption.ATOMIC_MOVE);
      throw e;
    }
    delete(aside());
  }

  /**
   * A call of the C library that lets two paths change their places.
   *
   * @param call takes an int, a path, an int, a path and flags, or without the ints
   * @param linux which of the two
   */
  private record Exchange(MethodHandle call, boolean linux) {
    private static final int CURRENT_FOLDER = -100;
    private static final int BOTH = 2;

    static Optional<Exchange> find() {
      boolean linux = System.getProperty("os.name", "").equals("Linux");
      FunctionDescriptor descriptor =
          linux
              ? FunctionDescriptor.of(
                  ValueLayout.JAVA_INT,
                  ValueLayout.JAVA_INT,
                  ValueLayout.ADDRESS,
                  ValueLayout.JAVA_INT,
                  ValueLayout.ADDRESS,
                  ValueLayout.JAVA_INT)
              : FunctionDescriptor.of(
                  ValueLayout.JAVA_INT,
                  ValueLayout.ADDRESS,
                  ValueLayout.ADDRESS,
                  ValueLayout.JAVA_INT);
      try {
        Linker linker = Linker.nativeLinker();
        return linker
            .defaultLookup()
            .find(linux ? "renameat2" : "renamex_np")
            .map(address -> new Exchange(linker.downcallHandle(address, descriptor), linux));
      } catch (RuntimeException e) {
        LOGGER.log(Level.DEBUG, "replacing directories: no access to the C library", e);
        return Optional.empty();
      }
    }

    /** Returns whether the system could do it; if not, nothing has changed. */
    boolean exchange(Path one, Path other) {
      try (Arena arena = Arena.ofConfined()) {
        MemorySegment first = arena.allocateFrom(one.toString());
        MemorySegment second = arena.allocateFrom(other.toString());
        int result =
            linux
                ? (int) call.invokeExact(CURRENT_FOLDER, first, CURRENT_FOLDER, second, BOTH)
                : (int) call.invokeExact(first, second, BOTH);
        return result == 0;
      } catch (RuntimeException | Error e) {
        throw e;
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }
  }
}
