package dev.lorikeet.files.peft;

import dev.lorikeet.files.UserEnvironment;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Where links out of an adapter's folder may lead: into folders that the operator names, and to the
 * files of Hugging Face's cache ({@code models--NAME/blobs}), which a download into a folder of
 * one's own may link to. Immutable.
 */
public final class TrustedLinks {
  private static final String HOW =
      "; store option 'trusted-links' and --trust-links name folders that links may lead to";

  private final List<Path> folders;
  private final Path cache;

  private TrustedLinks(List<Path> folders, Path cache) {
    this.folders = List.copyOf(folders);
    this.cache = cache;
  }

  /** Trusts the cache alone, as the environment names it. */
  public static TrustedLinks ofEnvironment() {
    return new TrustedLinks(List.of(), UserEnvironment.ofProcess().huggingFaceCache());
  }

  /** Trusts the cache of some environment alone. */
  public static TrustedLinks of(UserEnvironment environment) {
    return new TrustedLinks(List.of(), environment.huggingFaceCache());
  }

  /**
   * Returns the same with more folders.
   *
   * @throws IllegalArgumentException if one of them is no directory; the message names it
   */
  public TrustedLinks with(List<Path> more) {
    List<Path> all = new ArrayList<>(folders);
    for (Path folder : more) {
      try {
        Path real = folder.toRealPath();
        if (!Files.isDirectory(real)) {
          throw new IllegalArgumentException(
              "trusted links: expected directories, found the file " + folder);
        }
        all.add(real);
      } catch (IOException | SecurityException e) {
        throw new IllegalArgumentException(
            "trusted links: expected directories, found nothing readable at " + folder, e);
      }
    }
    return new TrustedLinks(all, cache);
  }

  /** Returns whether a link may lead to a file, given by its real path. */
  boolean mayLeadTo(Path real) {
    return folders.stream().anyMatch(real::startsWith) || isBlob(real);
  }

  private boolean isBlob(Path real) {
    try {
      Path root = cache.toRealPath();
      if (!real.startsWith(root)) {
        return false;
      }
      Path within = root.relativize(real);
      return within.getNameCount() > 2
          && within.getName(0).toString().startsWith("models--")
          && within.getName(1).toString().equals("blobs");
    } catch (IOException | SecurityException e) {
      return false; // there is no cache
    }
  }

  /** Returns what a refusal of a link says of how to allow it. */
  static String how() {
    return HOW;
  }
}
