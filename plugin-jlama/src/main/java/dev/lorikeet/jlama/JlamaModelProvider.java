package dev.lorikeet.jlama;

import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.BaseModelProvider;
import dev.lorikeet.model.ModelConfig;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.shape.ModelInfo;
import java.nio.file.Path;

/**
 * Opens Hugging Face model directories of the Llama, Mistral and Qwen2 families. Options: {@code
 * threads}, {@code max-batch-size}, {@code max-batch-tokens}, {@code max-queue}, {@code kv-type},
 * {@code weights}, {@code switching}; the module's README describes them.
 */
public final class JlamaModelProvider implements BaseModelProvider {
  static final String NAME = "jlama";

  /** For {@link java.util.ServiceLoader}. */
  public JlamaModelProvider() {}

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public int priority() {
    return 50;
  }

  @Override
  public Availability availability() {
    return Availability.available("Llama, Mistral and Qwen2");
  }

  @Override
  public ModelInfo describe(Path directory) {
    return JlamaModel.describe(directory);
  }

  @Override
  public BaseModel open(ModelConfig config) {
    return JlamaModel.open(config, ModelOptions.parse(config.options()));
  }
}
