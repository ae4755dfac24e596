package dev.lorikeet.jlama.generator;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Jlama's own models, and variations of the tiny model's directory. */
final class JlamaModels {
  private static final ObjectMapper JSON = new ObjectMapper();

  private JlamaModels() {}

  /**
   * Loads a directory of BF16 weights as Jlama does; naming that type keeps activations in float32.
   */
  static AbstractModel load(Path directory) {
    return ModelSupport.loadModel(
        AbstractModel.InferenceType.FULL_GENERATION,
        directory.toFile(),
        null,
        DType.F32,
        DType.F32,
        Optional.of(DType.BF16),
        Optional.empty(),
        Optional.empty(),
        SafeTensorSupport::loadWeights);
  }

  /** Copies the tiny model's base. */
  static Path copy(Path directory) {
    try {
      Files.createDirectories(directory);
      Path base = TinyModel.extract().base();
      for (String name :
          List.of("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")) {
        Files.copy(base.resolve(name), directory.resolve(name));
      }
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Sets a key of a JSON file to a text or a number. */
  static void set(Path file, String key, Object value) {
    try {
      ObjectNode root = (ObjectNode) JSON.readTree(file.toFile());
      root.set(key, JSON.valueToTree(value));
      Files.write(file, JSON.writeValueAsBytes(root));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
