package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * Symbolic links among the files of a model directory. They may lead to other files of the
 * directory and, in Hugging Face's cache, from {@code models--NAME/snapshots/COMMIT} to {@code
 * models--NAME/blobs}; a link to anywhere else is refused, since what a checkout brings along
 * should not choose which files of this machine are read. The directory itself was named by the
 * application and may be a link.
 */
final class ModelLinks {
  private static final Pattern READ =
      Pattern.compile(".*\\.(?:json|jinja|safetensors)", Pattern.CASE_INSENSITIVE);

  private ModelLinks() {}

  /**
   * Refuses a directory with links that leave it; what is not a directory is left to its reader.
   */
  static void check(Path directory) {
    if (!Files.isDirectory(directory)) {
      return;
    }
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      Path real = directory.toRealPath();
      Optional<Path> blobs = blobs(real);
      for (Path entry : entries) {
        if (Files.isSymbolicLink(entry) && READ.matcher(name(entry)).matches()) {
          check(entry, real, blobs);
        }
      }
    } catch (IOException e) {
      throw Faults.MODEL.invalid(directory, "a readable directory", e, e);
    }
  }

  private static void check(Path link, Path directory, Optional<Path> blobs) throws IOException {
    try {
      Path real = link.toRealPath();
      if (!real.startsWith(directory) && !blobs.map(real::startsWith).orElse(false)) {
        throw Faults.MODEL.invalid(link, "a file of its directory", "a link to " + real);
      }
    } catch (NoSuchFileException e) {
      throw Faults.MODEL.invalid(link, "a file", "a broken link", e);
    }
  }

  private static Optional<Path> blobs(Path directory) {
    Optional<Path> snapshots = Optional.ofNullable(directory.getParent());
    return snapshots
        .filter(path -> name(path).equals("snapshots"))
        .map(Path::getParent)
        .filter(path -> name(path).startsWith("models--"))
        .map(path -> path.resolve("blobs"));
  }

  private static String name(Path path) {
    return Optional.ofNullable(path.getFileName()).map(Path::toString).orElse("");
  }
}
