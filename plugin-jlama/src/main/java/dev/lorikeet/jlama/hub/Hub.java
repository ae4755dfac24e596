package dev.lorikeet.jlama.hub;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Brings models and adapters from a hub like Hugging Face's into Jlama's folder, where Jlama finds
 * them too. Downloads go on where they broke off, are checked against the hub's checksums, and two
 * at once of the same thing, in one process or several, are one. What the hub says is not trusted:
 * only files of known names are fetched, never pickled ones, no more bytes than it declared, and
 * the access token goes to the hub alone. Immutable and thread-safe.
 *
 * <p>All methods throw {@link LorikeetException}: {@code MODEL_NOT_FOUND} or {@code
 * ADAPTER_NOT_FOUND} for a name that neither this machine nor the hub knows, {@code MODEL_INVALID}
 * or {@code ADAPTER_INVALID} for an answer that is wrong or a file that is damaged, {@code
 * MODEL_UNSUPPORTED} or {@code ADAPTER_UNSUPPORTED} for a repository without safetensors, {@code
 * DOWNLOAD_FAILED} for network, access and disk, {@code CANCELLED} if the thread was interrupted.
 */
public final class Hub {
  private final ModelFolders folders;
  private final URI endpoint;
  private final Optional<String> token;
  private final boolean offline;
  private final DownloadProgress progress;
  private final Patience patience;

  private Hub(Builder builder) {
    this.folders = builder.folders;
    this.endpoint = builder.endpoint;
    this.token = builder.token;
    this.offline = builder.offline;
    this.progress = builder.progress;
    this.patience = builder.patience;
  }

  /**
   * Begins with what the environment says: the folders of {@link ModelFolders#ofEnvironment()};
   * {@code HF_ENDPOINT} or the public hub; the token of {@code HF_TOKEN}, of the system property
   * {@code huggingface.auth.token}, or of the file {@code HF_TOKEN_PATH} that a login has left;
   * {@code HF_HUB_OFFLINE}.
   */
  public static Builder builder() {
    return new Builder(HubEnvironment.system());
  }

  /** Begins with what other variables say in place of the process's own. */
  public static Builder builder(Map<String, String> variables) {
    return new Builder(new HubEnvironment(variables, System.getProperties()));
  }

  /** Settings of a {@link Hub}. */
  public static final class Builder {
    private ModelFolders folders;
    private URI endpoint;
    private Optional<String> token;
    private boolean offline;
    private DownloadProgress progress = DownloadProgress.NONE;
    private Patience patience = Patience.STANDARD;

    Builder(HubEnvironment environment) {
      this.folders = ModelFolders.of(environment);
      this.endpoint = environment.endpoint();
      this.token = environment.token();
      this.offline = environment.offline();
    }

    /** Sets where to look, and with its first folder where to download to. */
    public Builder folders(ModelFolders value) {
      folders = value;
      return this;
    }

    /** Sets the hub's address, {@code https://host} or {@code https://host/path}. */
    public Builder endpoint(URI value) {
      endpoint = value;
      return this;
    }

    /** Sets the access token. */
    public Builder token(String value) {
      token = Optional.of(value);
      return this;
    }

    /** Sets whether nothing is downloaded, so that only what is here is found. */
    public Builder offline(boolean value) {
      offline = value;
      return this;
    }

    /** Sets who is told how downloads go. */
    public Builder progress(DownloadProgress value) {
      progress = value;
      return this;
    }

    Builder patience(Patience value) {
      patience = value;
      return this;
    }

    /** Returns the hub. */
    public Hub build() {
      return new Hub(this);
    }
  }

  /** Returns the directory of a model, after downloading what is not here. */
  public Path model(ModelName name) {
    return bring(RepositoryKind.MODEL, name);
  }

  /** Returns the directory of an adapter, after downloading what is not here. */
  public Path adapter(ModelName name) {
    return bring(RepositoryKind.ADAPTER, name);
  }

  /**
   * Returns the model directory that a path means: itself if there is such a file or directory,
   * else that of the model whose name the path spells, else itself.
   */
  public Path modelDirectory(Path path) {
    return directory(RepositoryKind.MODEL, path);
  }

  /**
   * Returns the adapter directory or file that a path means: itself if there is such a file or
   * directory, else that of the adapter whose name the path spells, else itself.
   */
  public Path adapterDirectory(Path path) {
    return directory(RepositoryKind.ADAPTER, path);
  }

  private Path directory(RepositoryKind kind, Path path) {
    Optional<ModelName> name = Files.exists(path) ? Optional.empty() : ModelName.of(path);
    try {
      return name.map(known -> bring(kind, known)).orElse(path);
    } catch (LorikeetException e) {
      throw e.code() == Code.MODEL_NOT_FOUND || e.code() == Code.ADAPTER_NOT_FOUND
          ? new LorikeetException(e.code(), path + ": no such directory; " + e.getMessage(), e)
          : e;
    }
  }

  private Path bring(RepositoryKind kind, ModelName name) {
    Optional<Path> here = folders.find(kind, name);
    if (here.isPresent()) {
      return here.get();
    }
    try {
      if (offline) {
        throw HubFaults.notFound(
            name
                + ": expected it in Jlama's folder or Hugging Face's cache, found nothing offline");
      }
      return download(kind, name);
    } catch (LorikeetException e) {
      throw kind.of(e);
    }
  }

  private Path download(RepositoryKind kind, ModelName name) {
    try (HubClient client = new HubClient(endpoint, token, patience)) {
      HubListing listing = list(client, name);
      List<RemoteFile> files = kind.choose(listing);
      Path directory = folders.destination(name);
      if (FinishedMarker.namesAnother(directory, name)) {
        throw HubFaults.failed(directory + ": expected " + name + ", found another repository");
      }
      create(directory);
      try (FolderLock lock = FolderLock.acquire(directory, progress)) {
        if (!ModelFolders.isFinished(kind, name, directory)) { // by somebody else meanwhile
          fetch(client, name, listing, files, directory);
          if (!kind.isIn(directory)) {
            throw Faults.MODEL.invalid(listing.source(), "weights that are complete", "others");
          }
          FinishedMarker.write(directory, name, listing.commit());
        }
        return directory;
      }
    }
  }

  private HubListing list(HubClient client, ModelName name) {
    Retries retries = new Retries(patience, progress);
    while (true) {
      try {
        return client.list(name);
      } catch (IOException e) {
        retries.failed(e);
      }
    }
  }

  private static void create(Path directory) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw HubFaults.disk(directory, e);
    }
  }

  private void fetch(
      HubClient client,
      ModelName name,
      HubListing listing,
      List<RemoteFile> files,
      Path directory) {
    long bytes = files.stream().mapToLong(RemoteFile::size).sum();
    long present = files.stream().mapToLong(file -> PartFile.present(file, directory)).sum();
    checkRoom(directory, bytes - present);
    progress.begin(name, directory, files.size(), bytes);
    FileDownload download =
        new FileDownload(client, name, listing.commit(), directory, patience, progress);
    files.forEach(download::fetch);
  }

  private static void checkRoom(Path directory, long bytes) {
    try {
      long room = Files.getFileStore(directory).getUsableSpace();
      if (room > 0 && room < bytes) { // some file systems say 0 for unknown
        throw new LorikeetException(
            Code.STORAGE_FULL,
            directory + ": expected room for " + bytes + " bytes, found " + room);
      }
    } catch (IOException e) {
      throw HubFaults.disk(directory, e);
    }
  }
}
