package dev.lorikeet.jlama.hub;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Pattern;

/** The two kinds of repositories, and which of their files are wanted: never pickled ones. */
enum RepositoryKind {
  /** A base model. */
  MODEL(WeightFiles.SINGLE, "config.json", "tokenizer.json") {
    @Override
    Optional<List<RemoteFile>> weights(HubListing listing) {
      return super.weights(listing)
          .or(() -> listing.file(WeightFiles.INDEX).map(index -> shards(listing, index)));
    }

    @Override
    boolean wants(String name) {
      return TEXTS.matcher(name).matches();
    }

    @Override
    void map(Path directory, Arena arena) {
      WeightFiles.map(directory, arena);
    }
  },

  /** A PEFT adapter. */
  ADAPTER("adapter_model.safetensors", "adapter_config.json") {
    @Override
    boolean wants(String name) {
      return TEXTS.matcher(name).matches() || name.equals("tokenizer.json");
    }
  };

  private static final int MAX_FILES = 2000;
  private static final long MAX_TEXT_BYTES = 256L << 20;
  private static final Pattern WEIGHTS =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]*\\.safetensors");
  private static final Pattern TEXTS =
      Pattern.compile(
          "generation_config\\.json|tokenizer_[a-z_]{1,40}\\.json|special_tokens_map\\.json"
              + "|added_tokens\\.json|chat_template\\.(?:jinja|json)");

  private final String weights;

  @SuppressWarnings("ImmutableEnumChecker") // List.of gives lists that nobody can change.
  private final List<String> texts;

  RepositoryKind(String weights, String... texts) {
    this.weights = weights;
    this.texts = List.of(texts);
  }

  /** Returns the files to download, weights last. */
  List<RemoteFile> choose(HubListing listing) {
    List<RemoteFile> last =
        weights(listing)
            .orElseThrow(
                () ->
                    Faults.MODEL.unsupported(
                        listing.source(), "weights in " + weights, otherWeights(listing)));
    List<RemoteFile> files = new ArrayList<>();
    for (String text : texts) {
      files.add(
          listing
              .file(text)
              .orElseThrow(() -> Faults.MODEL.unsupported(listing.source(), text, "no such file")));
    }
    listing.files().stream().filter(file -> wants(file.path())).forEach(files::add);
    files.addAll(last);
    if (files.size() > MAX_FILES) {
      throw Faults.MODEL.invalid(
          listing.source(), "at most " + MAX_FILES + " files to load", files.size());
    }
    return files;
  }

  /** Returns the weights of a repository, or empty if it has none that are loaded. */
  Optional<List<RemoteFile>> weights(HubListing listing) {
    return listing.file(weights).map(List::of);
  }

  /** Copies in the layout of other programs, and adapters, may lie beside the shards. */
  private static List<RemoteFile> shards(HubListing listing, RemoteFile index) {
    List<RemoteFile> files = new ArrayList<>(List.of(index));
    listing.files().stream()
        .filter(file -> WEIGHTS.matcher(file.path()).matches())
        .filter(file -> !file.path().startsWith("consolidated"))
        .filter(file -> !file.path().startsWith("adapter_"))
        .forEach(files::add);
    return files;
  }

  /** Returns whether a file beside configuration and weights is of use. */
  boolean wants(String name) {
    return false;
  }

  private static String otherWeights(HubListing listing) {
    return listing.files().stream()
        .map(RemoteFile::path)
        .filter(path -> path.matches(".*\\.(?:bin|pt|pth|gguf|h5|onnx|safetensors)"))
        .findFirst()
        .map(path -> Faults.show(path.toLowerCase(Locale.ROOT)))
        .orElse("none");
  }

  /**
   * Returns whether the files without which nothing loads are in a directory, weights as long as
   * they say. What is there and is not supported counts: a download would not better it.
   */
  boolean isIn(Path directory) {
    if (!texts.stream().map(directory::resolve).allMatch(Files::isRegularFile)) {
      return false;
    }
    try (Arena arena = Arena.ofConfined()) {
      map(directory, arena);
      return true;
    } catch (LorikeetException e) {
      return e.code() == Code.MODEL_UNSUPPORTED;
    }
  }

  /** Returns whether the same files but the weights are whole, each a JSON object. */
  boolean isWhole(Path directory) {
    try {
      texts.forEach(text -> JsonFile.read(directory.resolve(text), MAX_TEXT_BYTES));
      return true;
    } catch (LorikeetException e) {
      return false;
    }
  }

  /** Maps the weights of a directory, to see whether it can be done. */
  void map(Path directory, Arena arena) {
    SafetensorsFile.map(directory.resolve(weights), arena);
  }

  /** Returns a failure with the code that it has for this kind of repository. */
  LorikeetException of(LorikeetException failure) {
    if (this == MODEL) {
      return failure;
    }
    Code code =
        switch (failure.code()) {
          case MODEL_INVALID -> Code.ADAPTER_INVALID;
          case MODEL_UNSUPPORTED -> Code.ADAPTER_UNSUPPORTED;
          case MODEL_NOT_FOUND -> Code.ADAPTER_NOT_FOUND;
          default -> failure.code();
        };
    return new LorikeetException(code, failure.getMessage(), failure);
  }
}
