package dev.lorikeet.training.stage;

import java.util.Map;

/**
 * A base model that is being served, over whose weights adapters can be learned at the same time:
 * what {@link TrainableModelProvider#shared} gives.
 */
public interface SharedBase {
  /**
   * Opens it for fine-tuning. Its weights are those that are served; steps of serving and pieces of
   * training, a layer of a micro-batch each, take turns. Once the served model is closed, what is
   * asked of the stage fails with code {@code CLOSED}; it is to be closed all the same.
   *
   * @param maxTokens the most tokens of a micro-batch, at least 1
   * @param options settings of the provider, such as {@code threads}
   * @param share of the time that training gets while requests run, above 0 and below 1; it has the
   *     whole while none does
   * @throws IllegalArgumentException if an option is unknown or out of range
   */
  TrainableModel open(int maxTokens, Map<String, String> options, double share);
}
