package dev.lorikeet.arrow;

import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.util.List;
import java.util.Optional;

/**
 * What an adapter's files say of it.
 *
 * @param format how it is stored
 * @param baseModel the name of the base model that it was trained on, if it is recorded; untrusted
 *     text, printable and not long
 * @param targets the target modules, in their order
 * @param parts what the adapter changes beside
 */
public record AdapterDescription(
    Format format, Optional<String> baseModel, List<TargetSpec> targets, List<PartSpec> parts) {
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
    parts = List.copyOf(parts);
  }

  /** Returns how many bytes everything takes. */
  public long bytes() {
    return targets.stream().mapToLong(TargetSpec::bytes).sum()
        + parts.stream().mapToLong(PartSpec::bytes).sum();
  }
}
