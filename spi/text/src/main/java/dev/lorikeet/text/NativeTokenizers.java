package dev.lorikeet.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Workplace;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/*
 * DJL packs Hugging Face's own Rust tokenizers with a JNI library for each platform. Its Java front
 * (HuggingFaceTokenizer, LibUtils) is passed by: it reports to a telemetry address, asks CUDA for
 * devices, may download a library built for them, loads whatever lies in a predictable cache
 * folder, and truncates texts to 512 tokens unless told otherwise. What remains is one class of
 * native methods. The library for them is extracted into a workplace, a new folder that only this
 * user can write, loaded, and deleted at once; Windows does not delete what it runs, so a later
 * start does, as it does with what a start leaves that was killed.
 */

/** Loads the native half of the tokenizers, once per process. */
final class NativeTokenizers {
  /** Names the folder to extract into, for systems that do not execute from their temporary one. */
  static final String DIRECTORY_PROPERTY = "lorikeet.tokenizers.directory";

  private static final String PLATFORMS = "linux-x86_64, linux-aarch64, osx-aarch64, win-x86_64";

  /** What Windows keeps open; its lock tells the next start that somebody runs it. */
  @SuppressWarnings("unused")
  private static @Nullable Workplace inUse;

  private static final class Loaded {
    static final Optional<LorikeetException> FAILURE = load(platform());
  }

  private NativeTokenizers() {}

  /**
   * Returns the native methods.
   *
   * @throws LorikeetException with {@code PLUGIN_UNAVAILABLE} where there is no library for this
   *     platform, or it cannot be loaded
   */
  static TokenizersLibrary library() {
    Loaded.FAILURE.ifPresent(
        failure -> {
          throw failure;
        });
    return TokenizersLibrary.LIB;
  }

  @SuppressWarnings("restricted") // loading a library is what native access is granted for
  private static Optional<LorikeetException> load(String platform) {
    boolean windows = platform.startsWith("win");
    try {
      Path parent =
          Files.createDirectories(
              Path.of(
                  System.getProperty(
                      DIRECTORY_PROPERTY, System.getProperty("java.io.tmpdir", "."))));
      Workplace workplace = Workplace.in(parent);
      try {
        for (String name : names(windows)) {
          Path file = workplace.path(name);
          extract("native/lib/" + platform + "/cpu/" + name, file);
          System.load(file.toAbsolutePath().toString());
        }
      } finally {
        if (windows) {
          inUse = workplace;
        } else {
          workplace.close();
        }
      }
      return Optional.empty();
    } catch (IOException | LinkageError e) {
      String expected = "one of " + PLATFORMS + ", and glibc 2.34 on Linux";
      String message = "tokenizers: expected " + expected + ", found " + platform + ": " + e;
      return Optional.of(new LorikeetException(Code.PLUGIN_UNAVAILABLE, message, e));
    }
  }

  private static String platform() {
    String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
    String arch = System.getProperty("os.arch", "");
    return (os.startsWith("win") ? "win" : os.startsWith("mac") ? "osx" : "linux")
        + "-"
        + (arch.equals("amd64") ? "x86_64" : arch);
  }

  private static List<String> names(boolean windows) {
    String name = System.mapLibraryName("tokenizers");
    return windows
        ? List.of("libwinpthread-1.dll", "libgcc_s_seh-1.dll", "libstdc++-6.dll", name)
        : List.of(name);
  }

  private static void extract(String resource, Path file) throws IOException {
    ClassLoader loader = TokenizersLibrary.class.getClassLoader();
    try (InputStream in = loader.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IOException("no resource " + resource);
      }
      Files.copy(in, file);
    }
  }
}
