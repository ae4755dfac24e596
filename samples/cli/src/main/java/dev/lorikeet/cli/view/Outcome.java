package dev.lorikeet.cli.view;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.model.GenerationResult;

/** How a sequence ended. */
public sealed interface Outcome {
  /** It was generated. */
  record Done(GenerationResult result) implements Outcome {}

  /** It failed; the others went on. */
  record Failed(LorikeetException failure) implements Outcome {}
}
