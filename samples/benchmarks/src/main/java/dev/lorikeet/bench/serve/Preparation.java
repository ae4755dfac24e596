package dev.lorikeet.bench.serve;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.bench.model.GgufConverter;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.model.Vocabulary;
import dev.lorikeet.bench.model.WholeFolder;
import dev.lorikeet.jlama.hub.ModelFolders;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Makes what the contenders run, in a folder where the next run finds it: a random model or a view
 * of a real one, eight random adapters, and all of it as GGUF.
 */
final class Preparation {
  private static final int RANK = 16;
  private static final long ADAPTER_SEED = 100;

  private final Path folder;
  private final Consumer<String> says;

  Preparation(Path folder, Consumer<String> says) {
    this.folder = folder;
    this.says = says;
  }

  /**
   * What was made.
   *
   * @param inputs what the contenders get
   * @param shape the sizes of the model
   * @param adapterBytes the weights of one adapter, in bytes
   * @param ggufFailure why there are no GGUF files, if so
   */
  record Prepared(
      Inputs inputs, ModelShape shape, long adapterBytes, Optional<String> ggufFailure) {}

  /** Makes a random model, or a view of a real one. */
  Prepared prepare(String model, int threads) throws IOException {
    Optional<Preset> preset = Preset.of(model);
    String name =
        preset
            .map(Preset::title)
            .orElseGet(() -> "view-" + Path.of(model).toAbsolutePath().hashCode());
    Path directory = folder.resolve(name);
    Path base = directory.resolve("model");
    if (preset.isPresent()) {
      preset.get().model(directory, says);
    } else {
      Path given = ModelFolders.ofEnvironment().modelDirectory(Path.of(model)).toAbsolutePath();
      WholeFolder.make(base, says, target -> view(given, target));
    }
    JsonNode config = new ObjectMapper().readTree(base.resolve("config.json").toFile());
    ModelShape shape = shape(config);
    List<String> adapters = new ArrayList<>();
    for (int i = 0; i < Scenario.SEQUENCES; i++) {
      long seed = ADAPTER_SEED + i;
      Path adapter = directory.resolve("adapter-" + i);
      WholeFolder.make(
          adapter, says, target -> RandomWeights.writeAdapter(target, shape, RANK, seed));
      adapters.add(adapter.toString());
    }
    long adapterBytes =
        Files.size(Path.of(adapters.getFirst()).resolve("adapter_model.safetensors"));
    Vocabulary vocabulary = vocabulary(config, shape);
    Optional<String> failure = gguf(directory, base, shape, vocabulary, adapters);
    Inputs inputs =
        new Inputs(
            base.toString(),
            adapters,
            directory.resolve("model").toString(),
            adapters.stream().map(adapter -> adapter + ".gguf").toList(),
            vocabulary,
            threads);
    return new Prepared(inputs, shape, adapterBytes, failure);
  }

  private Optional<String> gguf(
      Path directory, Path base, ModelShape shape, Vocabulary vocabulary, List<String> adapters)
      throws IOException {
    try {
      for (String type : List.of("f16", "bf16")) {
        Path file = directory.resolve("model-" + type + ".gguf");
        if (!Files.exists(file)) {
          says.accept("writing " + file);
          GgufConverter.writeModel(base, shape, vocabulary, type.equals("bf16"), file);
        }
      }
      for (String adapter : adapters) {
        Path file = Path.of(adapter + ".gguf");
        if (!Files.exists(file)) {
          GgufConverter.writeAdapter(Path.of(adapter), shape, file);
        }
      }
      return Optional.empty();
    } catch (IOException e) {
      return Optional.of(String.valueOf(e.getMessage()));
    }
  }

  /** Links a real model's weights beside a vocabulary that all contenders read alike. */
  private static void view(Path model, Path target) throws IOException {
    Path config = model.resolve("config.json");
    if (!Files.exists(config)) {
      throw new IOException(
          "--model: expected 8m, 135m, 1.1b or a Hugging Face directory, found " + model);
    }
    JsonNode read = new ObjectMapper().readTree(config.toFile());
    Vocabulary vocabulary = vocabulary(read, shape(read));
    RandomWeights.writeTokenizer(target, vocabulary);
    ObjectNode ours = ((ObjectNode) read).put("eos_token_id", vocabulary.eos());
    Files.writeString(target.resolve("config.json"), ours.toString());
    try (Stream<Path> files = Files.list(model)) {
      for (Path file : files.filter(Preparation::isWeights).toList()) {
        Path place = target.resolve(file.getFileName());
        if (file.toString().endsWith(".json")) {
          Files.copy(file, place); // texts must be of their directory
        } else {
          Files.createSymbolicLink(place, file.toRealPath());
        }
      }
    }
  }

  private static boolean isWeights(Path file) {
    return file.toString().endsWith(".safetensors")
        || file.toString().endsWith(".safetensors.index.json");
  }

  private static ModelShape shape(JsonNode config) {
    int heads = config.path("num_attention_heads").asInt();
    int hidden = config.path("hidden_size").asInt();
    return ModelShape.builder()
        .layers(config.path("num_hidden_layers").asInt())
        .hidden(hidden)
        .intermediate(config.path("intermediate_size").asInt())
        .heads(heads)
        .kvHeads(config.path("num_key_value_heads").asInt(heads))
        .headDim(config.path("head_dim").asInt(heads == 0 ? 0 : hidden / heads))
        .vocabulary(config.path("vocab_size").asInt())
        .build();
  }

  private static Vocabulary vocabulary(JsonNode config, ModelShape shape) {
    JsonNode eos = config.path("eos_token_id");
    return new Vocabulary(
        shape.vocabulary(),
        config.path("bos_token_id").asInt(1),
        (eos.isArray() ? eos.path(0) : eos).asInt(2));
  }
}
