package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;

/** The families that are known, by the {@code model_type} of their {@code config.json}. */
public final class Families {
  private static final List<ModelFamily> KNOWN =
      List.of(new Llama(), new Mistral(), new Qwen2(), new Qwen3());

  private Families() {}

  /**
   * Reads the architecture of a model directory.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} for files that are missing or
   *     damaged, {@code MODEL_UNSUPPORTED} for families and features that are not known
   */
  public static Architecture read(Path directory) {
    ConfigFile config = ConfigFile.read(directory);
    JsonFile json = config.json();
    String expected = "one of " + modelTypes();
    String found = json.text("model_type").orElseThrow(() -> json.missing("model_type", expected));
    return KNOWN.stream()
        .filter(family -> family.modelType().equals(found))
        .findFirst()
        .orElseThrow(() -> json.unsupported("model_type", "'" + found + "'", expected))
        .read(config);
  }

  /** Returns the known values of {@code model_type}, for people. */
  public static String modelTypes() {
    return KNOWN.stream().map(ModelFamily::modelType).collect(Collectors.joining(", "));
  }
}
