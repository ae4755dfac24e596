package dev.lorikeet.cuda.binding;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Finds NVIDIA's driver library by its usual names, once per process. The system property {@value
 * #PROPERTY} names another file instead.
 */
public final class DriverLibrary {
  /** The system property that names the driver library to load. */
  public static final String PROPERTY = "lorikeet.cuda.driver";

  private static final List<String> NAMES =
      List.of(
          "libcuda.so.1",
          "libcuda.so",
          "/usr/local/nvidia/lib64/libcuda.so.1",
          "/usr/lib/wsl/lib/libcuda.so.1",
          "nvcuda.dll");

  private DriverLibrary() {}

  private record Search(Optional<SymbolLookup> found, String reason) {}

  private static final class Result {
    static final Search SEARCH = search();
  }

  /** Returns why the library cannot be used, or empty if it was loaded. */
  public static Optional<String> missing() {
    Search search = Result.SEARCH;
    return search.found().isPresent() ? Optional.empty() : Optional.of(search.reason());
  }

  static SymbolLookup symbols() {
    Search search = Result.SEARCH;
    return search.found().orElseThrow(() -> new UnsatisfiedLinkError(search.reason()));
  }

  private static Search search() {
    String chosen = System.getProperty(PROPERTY, "");
    List<String> names = chosen.isEmpty() ? NAMES : List.of(chosen);
    List<String> tried = new ArrayList<>();
    for (String name : names) {
      try {
        return new Search(Optional.of(SymbolLookup.libraryLookup(name, Arena.global())), "");
      } catch (IllegalArgumentException e) {
        tried.add(name);
      } catch (IllegalCallerException e) {
        return new Search(
            Optional.empty(), "native access is not enabled: run java with --enable-native-access");
      }
    }
    return new Search(
        Optional.empty(), "no NVIDIA driver: tried to load " + String.join(", ", tried));
  }
}
