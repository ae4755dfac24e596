package dev.lorikeet.model;

import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.executor.LoraExecutor;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.memory.PagePool;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * How to open a base model.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param directory a Hugging Face model directory
 * @param pool where the KV cache goes; shared with the adapters; must outlive the model
 * @param adapters where adapters come from; must outlive the model
 * @param executor opens the LoRA executor on the model's own worker threads; the model closes it
 * @param options settings of the chosen provider; an unknown key is refused
 * @param chatTemplate a file with the chat template to use, in place of the model's and of those
 *     that adapters bring; empty for theirs
 */
public record ModelConfig(
    Path directory,
    PagePool pool,
    AdapterStore adapters,
    Function<Workers, LoraExecutor> executor,
    Map<String, String> options,
    Optional<Path> chatTemplate) {
  public ModelConfig {
    options = Map.copyOf(options);
  }

  /** Returns a configuration without options. */
  public static ModelConfig of(
      Path directory,
      PagePool pool,
      AdapterStore adapters,
      Function<Workers, LoraExecutor> executor) {
    return new ModelConfig(directory, pool, adapters, executor, Map.of(), Optional.empty());
  }

  /** Returns the same with these settings of the provider. */
  public ModelConfig withOptions(Map<String, String> options) {
    return new ModelConfig(directory, pool, adapters, executor, options, chatTemplate);
  }

  /** Returns the same for another directory, such as the one that a name turned out to mean. */
  public ModelConfig withDirectory(Path value) {
    return new ModelConfig(value, pool, adapters, executor, options, chatTemplate);
  }

  /** Returns the same with a file whose chat template is used for all conversations. */
  public ModelConfig withChatTemplate(Path file) {
    return new ModelConfig(directory, pool, adapters, executor, options, Optional.of(file));
  }
}
