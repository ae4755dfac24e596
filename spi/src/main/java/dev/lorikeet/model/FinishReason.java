package dev.lorikeet.model;

/** Why a generation ended. */
public enum FinishReason {
  /** The model produced an end-of-sequence token or a stop token. */
  STOP_TOKEN,
  /** A stop string appeared. */
  STOP_STRING,
  /** The maximum number of tokens, or the model's longest sequence, was reached. */
  LENGTH
}
