package dev.lorikeet.arrow;

import dev.lorikeet.adapter.TargetSpec;
import java.util.List;
import java.util.Optional;

/**
 * What an adapter's files say of it.
 *
 * @param format how it is stored
 * @param baseModel the name of the base model that it was trained on, if it is recorded; untrusted
 *     text, printable and not long
 * @param targets the target modules, sorted by layer and projection
 */
public record AdapterDescription(
    Format format, Optional<String> baseModel, List<TargetSpec> targets) {
  /** How an adapter is stored. */
  public enum Format {
    /** A PEFT directory. */
    PEFT,
    /** A GGUF file. */
    GGUF,
    /** An Arrow IPC file. */
    ARROW
  }

  public AdapterDescription {
    targets = List.copyOf(targets);
  }

  /** Returns how many bytes the factors of all target modules take. */
  public long bytes() {
    return targets.stream().mapToLong(TargetSpec::bytes).sum();
  }
}
