package dev.lorikeet.jlama.generator;

import com.fasterxml.jackson.databind.JsonNode;
import com.github.tjake.jlama.math.ActivationFunction;
import com.github.tjake.jlama.model.ModelSupport.ModelType;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import com.github.tjake.jlama.util.JsonSupport;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;

/** What Jlama's classes make of a model directory's configuration; no weights are read. */
final class ModelFiles {
  private static final long MAX_CONFIG_BYTES = 32L << 20;
  private static final long MAX_TEMPLATE_BYTES = 1 << 18;

  private ModelFiles() {}

  /**
   * Reads {@code tokenizer.json} and the chat templates as Jlama does, and mends what Jlama passes
   * over: {@code chat_template.jinja}, and named tokens that are written as objects.
   *
   * @throws LorikeetException with {@code MODEL_UNSUPPORTED} where Jlama cannot read the tokenizer
   */
  static TokenizerModel tokenizer(Path directory) {
    TokenizerModel model;
    try {
      model = SafeTensorSupport.loadTokenizer(directory);
    } catch (IOException | RuntimeException e) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          directory.resolve("tokenizer.json")
              + ": expected a tokenizer that Jlama reads, found: "
              + e.getMessage(),
          e);
    }
    Optional<JsonFile> config =
        JsonFile.readIfPresent(directory.resolve("tokenizer_config.json"), MAX_CONFIG_BYTES);
    setNamed(config, "eos_token", model::setEosToken);
    setNamed(config, "bos_token", model::setBosToken);
    template(directory.resolve("chat_template.jinja"))
        .ifPresent(text -> model.setPromptTemplates(Map.of("default", text)));
    return model;
  }

  private static void setNamed(Optional<JsonFile> config, String key, Consumer<String> setter) {
    config
        .flatMap(c -> c.node(key))
        .map(value -> value.isObject() ? value.path("content") : value)
        .filter(JsonNode::isTextual)
        .ifPresent(value -> setter.accept(value.textValue()));
  }

  private static Optional<String> template(Path file) {
    return Files.exists(file)
        ? Optional.of(UntrustedFile.readText(Faults.MODEL, file, MAX_TEMPLATE_BYTES))
        : Optional.empty();
  }

  /**
   * Reads {@code config.json} into Jlama's class for the model's family. Where Jlama knows no such
   * family or cannot read its configuration, the sizes alone are filled in: no rotary frequencies,
   * and epsilon 0.
   */
  static Config config(ModelInfo info, int beginToken) {
    File file = info.directory().resolve("config.json").toFile();
    try {
      ModelType type = SafeTensorSupport.detectModel(file);
      return JsonSupport.om.readValue(file, type.configClass);
    } catch (IOException | RuntimeException beyondJlama) {
      ModelShape shape = info.shape();
      return new Config(
          info.maxPositions(),
          shape.hidden(),
          shape.intermediate(),
          shape.heads(),
          shape.kvHeads(),
          shape.layers(),
          0f,
          shape.vocabulary(),
          beginToken,
          List.copyOf(info.eosTokens()),
          ActivationFunction.Type.SILU,
          null,
          null,
          shape.headDim(),
          null,
          null);
    }
  }
}
