package dev.lorikeet.model;

import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.shape.ModelInfo;
import java.nio.file.Path;

/** Opens base models. Listed in {@code META-INF/services/dev.lorikeet.model.BaseModelProvider}. */
public interface BaseModelProvider extends PluginProvider {
  /**
   * Reads what a model directory says of its model, without its weights.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code MODEL_INVALID} or {@code
   *     MODEL_UNSUPPORTED}; the message names the file and the key
   */
  ModelInfo describe(Path directory);

  /**
   * Opens a model that the caller closes, before the adapter store and the pool.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code MODEL_INVALID} or {@code
   *     MODEL_UNSUPPORTED}; nothing is left open then
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  BaseModel open(ModelConfig config);
}
