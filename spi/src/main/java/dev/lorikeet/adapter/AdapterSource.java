package dev.lorikeet.adapter;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.nio.file.Path;

/**
 * Where to find an adapter, and the name to register it under.
 *
 * @param id the name: 1 to 200 characters, no control characters, no blank at either end
 * @param path a PEFT adapter directory ({@code adapter_config.json} and {@code
 *     adapter_model.safetensors}), or another form that the store documents
 */
public record AdapterSource(String id, Path path) {
  public AdapterSource {
    if (id.isBlank()
        || id.length() > 200
        || !id.equals(id.strip())
        || id.chars().anyMatch(Character::isISOControl)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "adapter id: expected 1 to 200 characters without control characters or blanks at its ends, found '"
              + id.chars()
                  .limit(220)
                  .mapToObj(c -> Character.isISOControl(c) ? "?" : Character.toString(c))
                  .reduce("", String::concat)
              + "'");
    }
  }
}
