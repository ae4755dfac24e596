package dev.lorikeet.training.stage;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.plugin.Availability;
import dev.lorikeet.plugin.PluginProvider;
import dev.lorikeet.shape.ModelShape;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import java.util.function.Function;

/**
 * Opens base models for fine-tuning. Listed in {@code
 * META-INF/services/dev.lorikeet.training.stage.TrainableModelProvider}.
 */
public interface TrainableModelProvider extends PluginProvider {
  /**
   * Opens a model.
   *
   * @param directory a Hugging Face model directory
   * @param span which part of it, by its shape
   * @param maxTokens the most tokens of a micro-batch, at least 1
   * @param options settings of the provider, such as {@code threads}
   * @throws LorikeetException with code {@code MODEL_NOT_FOUND}, {@code MODEL_INVALID} or {@code
   *     MODEL_UNSUPPORTED}; nothing is left open then
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  TrainableModel open(
      Path directory,
      Function<ModelShape, StageSpan> span,
      int maxTokens,
      Map<String, String> options);

  /** Opens the whole of a model. */
  default TrainableModel open(Path directory, int maxTokens, Map<String, String> options) {
    return open(directory, StageSpan::whole, maxTokens, options);
  }

  /**
   * Returns what lets adapters be learned over a model that is being served, if this provider knows
   * how to.
   */
  default Optional<SharedBase> shared(BaseModel served) {
    return Optional.empty();
  }

  /**
   * Finds a provider that the class loader of this interface sees.
   *
   * @param name which one; empty for the available one of the highest priority
   * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}, with the reasons of those found
   */
  static TrainableModelProvider find(Optional<String> name) {
    return all(name).getFirst();
  }

  /**
   * Finds the providers that can work here, those of higher priority before others.
   *
   * @param name of the only one to look for
   * @return at least one
   * @throws LorikeetException with code {@code PLUGIN_UNAVAILABLE}, with the reasons of those found
   */
  static List<TrainableModelProvider> all(Optional<String> name) {
    List<TrainableModelProvider> found = new ArrayList<>();
    List<String> reasons = new ArrayList<>();
    for (TrainableModelProvider provider :
        ServiceLoader.load(
            TrainableModelProvider.class, TrainableModelProvider.class.getClassLoader())) {
      if (name.isPresent() && !provider.name().equals(name.get())) {
        continue;
      }
      Availability availability = provider.availability();
      if (availability instanceof Availability.Available) {
        found.add(provider);
      } else {
        reasons.add(provider.name() + ": " + availability);
      }
    }
    if (found.isEmpty()) {
      throw new LorikeetException(
          Code.PLUGIN_UNAVAILABLE,
          "training plugin"
              + name.map(n -> " '" + n + "'").orElse("")
              + ": expected one that can work here, found "
              + (reasons.isEmpty() ? "none" : String.join("; ", reasons)));
    }
    found.sort(
        Comparator.comparingInt(TrainableModelProvider::priority)
            .reversed()
            .thenComparing(TrainableModelProvider::name));
    return found;
  }
}
