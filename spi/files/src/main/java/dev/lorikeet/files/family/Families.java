package dev.lorikeet.files.family;

import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.gguf.GgufModel;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.ModelFamily;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** The families that are known, by the {@code model_type} of their {@code config.json}. */
public final class Families {
  private static final System.Logger LOG = System.getLogger(Families.class.getName());
  private static final List<ModelFamily> KNOWN =
      List.of(
          new Gemma(),
          new Gemma2(),
          new Gemma3(),
          new Gpt2(),
          new Granite(),
          new Llama(),
          new Ministral(),
          new Ministral3(),
          new Mistral(),
          new Mixtral(),
          new Olmo2(),
          new Phi3(),
          new Qwen2(),
          new Qwen3(),
          new Qwen3Moe(),
          new SmolLm3(),
          new Starcoder2());

  private Families() {}

  /**
   * Reads the architecture of a model directory, or of a GGUF file; of a multimodal model that of
   * its language model, {@code text_config}.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} for files that are missing or
   *     damaged, {@code MODEL_UNSUPPORTED} for families and features that are not known
   */
  public static Architecture read(Path directory) {
    Optional<Path> gguf = GgufModel.at(directory);
    return gguf.isPresent()
        ? read(directory, GgufModel.config(gguf.get())).storedAsUsed()
        : read(directory, ConfigFile.read(directory));
  }

  private static Architecture read(Path directory, ConfigFile config) {
    JsonFile json = config.json();
    String expected = "one of " + modelTypes();
    String found = json.text("model_type").orElseThrow(() -> json.missing("model_type", expected));
    Optional<ModelFamily> known = named(found);
    if (known.isPresent()) {
      return known.get().read(config);
    }
    Optional<ConfigFile> text = config.text();
    Optional<ModelFamily> ofText =
        text.flatMap(t -> t.json().text("model_type")).flatMap(Families::named);
    if (ofText.isEmpty()) {
      throw json.unsupported("model_type", "'" + found + "'", expected);
    }
    LOG.log(
        Level.INFO,
        "{0}: multimodal model ''{1}'': its language model, ''{2}'', is used alone",
        directory,
        found,
        ofText.get().modelType());
    return ofText.get().read(text.orElseThrow());
  }

  private static Optional<ModelFamily> named(String modelType) {
    return KNOWN.stream().filter(family -> family.modelType().equals(modelType)).findFirst();
  }

  /** Returns the known values of {@code model_type}, for people. */
  public static String modelTypes() {
    return KNOWN.stream().map(ModelFamily::modelType).collect(Collectors.joining(", "));
  }
}
