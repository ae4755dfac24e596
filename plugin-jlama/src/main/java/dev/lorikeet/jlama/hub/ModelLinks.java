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
 * Symbolic links among the files of a model directory. In Hugging Face's cache they may lead to
 * files of the same directory and from {@code models--NAME/snapshots/COMMIT} to {@code
 * models--NAME/blobs}; one that leaves the model's part of the cache is refused. In other
 * directories weights may lie anywhere, since people keep large files on other disks, but
 * configuration and tokenizer must be of the directory: errors quote them, and what a checkout
 * brings along should not choose which files of this machine are quoted. The directory itself was
 * named by the application and may be a link.
 */
final class ModelLinks {
  private static final Pattern TEXTS =
      Pattern.compile(".*\\.(?:json|jinja)", Pattern.CASE_INSENSITIVE);
  private static final Pattern ALL =
      Pattern.compile(".*\\.(?:json|jinja|safetensors|gguf)", Pattern.CASE_INSENSITIVE);

  private ModelLinks() {}

  /**
   * Refuses a directory with links where they may not lead; what is not a directory is left to its
   * reader.
   */
  static void check(Path directory) {
    if (!Files.isDirectory(directory)) {
      return;
    }
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
      Path real = directory.toRealPath();
      Optional<Path> blobs = blobs(real);
      Pattern bound = blobs.isPresent() ? ALL : TEXTS;
      for (Path entry : entries) {
        if (Files.isSymbolicLink(entry) && bound.matcher(name(entry)).matches()) {
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
