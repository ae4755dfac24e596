package dev.lorikeet.training.trainer;

import java.nio.file.Path;
import java.util.Optional;

/**
 * Where a task's files go.
 *
 * @param adapter the PEFT directory of the finished adapter, or the directory of a mixture's
 *     experts and gate, which must not be there yet
 * @param baseModel the base model's name or path, for PEFT, which loads it from there
 */
public record TaskOutput(Path adapter, Optional<String> baseModel) {
  /** Returns the folder of checkpoints: beside the adapter, with {@code .checkpoint} behind it. */
  public Path checkpoints() {
    return adapter.resolveSibling(adapter.getFileName() + ".checkpoint");
  }
}
