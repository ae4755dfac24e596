package dev.lorikeet.files.model;

/**
 * A family of models that share an architecture: turns their {@code config.json} into an {@link
 * Architecture}. Absent keys mean what they mean to transformers 5; where its default is a size,
 * the key must be there instead.
 */
public interface ModelFamily {
  /** Returns the value of {@code model_type}. */
  String modelType();

  /**
   * Reads a configuration.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} for one that is damaged,
   *     {@code MODEL_UNSUPPORTED} for models that a decoder does not compute
   */
  Architecture read(ConfigFile config);
}
