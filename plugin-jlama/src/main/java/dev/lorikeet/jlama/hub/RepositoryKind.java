package dev.lorikeet.jlama.hub;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/** The two kinds of repositories, and which of their files are wanted: never pickled ones. */
enum RepositoryKind {
  /** A base model. */
  MODEL("config.json", "model.safetensors") {
    @Override
    Optional<List<RemoteFile>> weights(HubListing listing) {
      return super.weights(listing)
          .or(() -> listing.file(INDEX).map(index -> shards(listing, index)));
    }

    @Override
    boolean wants(String name) {
      return TEXTS.matcher(name).matches();
    }

    @Override
    Optional<Set<String>> weightNames(Path directory) {
      Path index = directory.resolve(INDEX);
      return super.weightNames(directory)
          .or(
              () ->
                  JsonFile.readIfPresent(index, MAX_INDEX_BYTES)
                      .flatMap(json -> json.object("weight_map"))
                      .map(RepositoryKind::namesIn));
    }
  },

  /** A PEFT adapter. */
  ADAPTER("adapter_config.json", "adapter_model.safetensors");

  static final String INDEX = "model.safetensors.index.json";
  private static final long MAX_INDEX_BYTES = 64L << 20;
  private static final int MAX_FILES = 2000;
  private static final Pattern WEIGHTS =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]*\\.safetensors");
  private static final Pattern TEXTS =
      Pattern.compile(
          "generation_config\\.json|tokenizer[a-z_]{0,40}\\.json|special_tokens_map\\.json"
              + "|added_tokens\\.json|chat_template\\.(?:jinja|json)");

  private final String config;
  private final String weights;

  RepositoryKind(String config, String weights) {
    this.config = config;
    this.weights = weights;
  }

  /** Returns the files to download, configuration first and weights last. */
  List<RemoteFile> choose(HubListing listing) {
    List<RemoteFile> files = new ArrayList<>();
    files.add(
        listing
            .file(config)
            .orElseThrow(() -> Faults.MODEL.unsupported(listing.source(), config, "no such file")));
    listing.files().stream().filter(file -> wants(file.path())).forEach(files::add);
    files.addAll(
        weights(listing)
            .orElseThrow(
                () ->
                    Faults.MODEL.unsupported(
                        listing.source(), "weights in " + weights, otherWeights(listing))));
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

  /** Returns whether configuration and weights are in a directory. */
  boolean isThere(Path directory) {
    if (!Files.isRegularFile(directory.resolve(config))) {
      return false;
    }
    try {
      Set<String> names = weightNames(directory).orElse(Set.of());
      return !names.isEmpty()
          && names.stream().map(directory::resolve).allMatch(Files::isRegularFile);
    } catch (LorikeetException e) {
      return false;
    }
  }

  /** Returns whether all weights of a directory are as long as their headers say. */
  boolean isWhole(Path directory) {
    try (Arena arena = Arena.ofConfined()) {
      weightNames(directory)
          .orElse(Set.of())
          .forEach(name -> SafetensorsFile.map(directory.resolve(name), arena));
      return true;
    } catch (LorikeetException e) {
      return false;
    }
  }

  /** Returns the names of the weight files that a directory has or must have. */
  Optional<Set<String>> weightNames(Path directory) {
    return Files.exists(directory.resolve(weights))
        ? Optional.of(Set.of(weights))
        : Optional.empty();
  }

  private static Set<String> namesIn(JsonFile map) {
    Set<String> names = new LinkedHashSet<>();
    for (JsonNode value : map.root()) {
      if (!WEIGHTS.matcher(value.asText("")).matches()) {
        throw map.wrong("weight_map", value, "the name of a .safetensors file");
      }
      names.add(value.asText(""));
    }
    return names;
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
