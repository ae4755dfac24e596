package dev.lorikeet.jlama.hub;

import dev.lorikeet.files.Workplace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Where models and adapters lie that were downloaded once, by whom ever: Jlama's folders, where
 * {@code owner/name} is the directory {@code owner_name}, and Hugging Face's cache, where it is
 * {@code models--owner--name/snapshots/COMMIT}. Looks and never downloads. Immutable.
 */
public final class ModelFolders {
  private static final int MAX_REFERENCE_BYTES = 256;

  private final List<Path> jlama;
  private final Optional<Path> cache;

  ModelFolders(List<Path> jlama, Optional<Path> cache) {
    this.jlama = List.copyOf(jlama);
    this.cache = cache;
  }

  /**
   * Returns the folders of this machine. Jlama's is {@code JLAMA_MODEL_HOME} or the system property
   * {@code jlama.model.home}; without them {@code ~/.jlama/models} and {@code ./models}. Hugging
   * Face's is {@code HF_HUB_CACHE}, {@code HF_HOME/hub} or {@code ~/.cache/huggingface/hub}.
   */
  public static ModelFolders ofEnvironment() {
    return of(HubEnvironment.system());
  }

  static ModelFolders of(HubEnvironment environment) {
    return new ModelFolders(
        environment.jlamaFolders(), Optional.of(environment.huggingFaceCache()));
  }

  /** Returns one folder in Jlama's layout, and nothing else. */
  public static ModelFolders of(Path folder) {
    return new ModelFolders(List.of(folder), Optional.empty());
  }

  /** Returns the directory of a model that is here, with all of its weights. */
  public Optional<Path> model(ModelName name) {
    return find(RepositoryKind.MODEL, name);
  }

  /** Returns the directory of an adapter that is here, with its weights. */
  public Optional<Path> adapter(ModelName name) {
    return find(RepositoryKind.ADAPTER, name);
  }

  /**
   * Returns the model directory that a path means: itself if there is such a file or directory,
   * else that of the model whose name the path spells.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_NOT_FOUND} if it spells a name and
   *     there is no such model here; with {@code MODEL_INVALID} if files of the directory are links
   *     that leave it
   */
  public Path modelDirectory(Path path) {
    Path directory = path;
    if (!Files.exists(path)) {
      Optional<ModelName> name = ModelName.of(path);
      if (name.isPresent()) {
        directory = model(name.get()).orElseThrow(() -> HubFaults.notFound(absence(name.get())));
      }
    }
    ModelLinks.check(directory);
    return directory;
  }

  private String absence(ModelName name) {
    List<Path> looked = new ArrayList<>(jlama);
    cache.ifPresent(looked::add);
    return name
        + ": expected a directory of that name, or the model in one of "
        + looked
        + ", found neither; './lorikeet pull "
        + name
        + "' or "
        + Hub.class.getName()
        + " downloads it";
  }

  Optional<Path> find(RepositoryKind kind, ModelName name) {
    for (Path folder : jlama) {
      Path directory = folder.resolve(name.folder());
      if (isFinished(kind, name, directory)) {
        clear(directory);
        return Optional.of(directory);
      }
    }
    return cache.flatMap(folder -> snapshot(folder, name)).filter(kind::isIn);
  }

  /** Clears away what a download has left that was killed behind its last file. */
  private static void clear(Path directory) {
    try {
      Workplace.clear(directory);
    } catch (IOException e) {
      return; // it may not be ours
    }
  }

  /**
   * Returns whether all of a repository is in a directory of Jlama's layout. One without a marker
   * counts if it is whole, such as what Jlama's quantizer writes; what Jlama downloaded in part is
   * not.
   */
  static boolean isFinished(RepositoryKind kind, ModelName name, Path directory) {
    return !FinishedMarker.namesAnother(directory, name)
        && kind.isIn(directory)
        && (FinishedMarker.isIn(directory) || kind.isWhole(directory));
  }

  private static Optional<Path> snapshot(Path folder, ModelName name) {
    Path repository = folder.resolve("models--" + name.owner() + "--" + name.name());
    Path snapshots = repository.resolve("snapshots");
    Path reference = repository.resolve("refs").resolve(name.revisionOrMain());
    try {
      String commit = name.revisionOrMain();
      if (Files.isRegularFile(reference, LinkOption.NOFOLLOW_LINKS)
          && Files.size(reference) <= MAX_REFERENCE_BYTES) {
        commit = Files.readString(reference).strip();
      }
      return commit.matches("[0-9a-f]{40,64}")
          ? Optional.of(snapshots.resolve(commit))
          : Optional.empty();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** Returns the directory into which a repository is downloaded. */
  Path destination(ModelName name) {
    return jlama.getFirst().resolve(name.folder());
  }
}
