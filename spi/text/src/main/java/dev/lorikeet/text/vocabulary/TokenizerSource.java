package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.gguf.GgufModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * The definition of a model's tokenizer as {@code tokenizer.json} has it, whatever form the model
 * brings it in, and the configuration beside it. What is made from another form passes the same
 * checks as a file.
 */
public final class TokenizerSource {
  private static final String FILE = "tokenizer.json";
  private static final String CONFIG = "tokenizer_config.json";
  private static final String SENTENCE_PIECE = "tokenizer.model";
  private static final String TEKKEN = "tekken.json";

  /** The most bytes of a definition. */
  static final long MAX_BYTES = 64L << 20;

  /** The most bytes of a configuration. */
  private static final long MAX_CONFIG_BYTES = 8L << 20;

  private TokenizerSource() {}

  /**
   * Returns the definition of the tokenizer.
   *
   * @param path a model directory or a GGUF file
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED}
   */
  public static JsonFile definition(Path path) {
    if (Files.exists(path.resolve(FILE))) {
      return JsonFile.read(path.resolve(FILE), MAX_BYTES);
    }
    Optional<Path> gguf = GgufModel.at(path);
    if (gguf.isPresent()) {
      GgufTokenizer tokenizer = new GgufTokenizer(GgufModel.header(gguf.get()));
      return named(gguf.get(), tokenizer.definition());
    }
    Path pieces = path.resolve(SENTENCE_PIECE);
    if (Files.exists(pieces)) {
      return named(pieces, SentencePieceFile.read(pieces).definition(pieces));
    }
    if (VocabularyFiles.areIn(path)) {
      return new VocabularyFiles(path, fileConfig(path)).definition();
    }
    Path tekken = path.resolve(TEKKEN);
    if (Files.exists(tekken)) {
      throw Faults.MODEL.refuseUnsupported(
          tekken,
          "expected a tokenizer.json, found Mistral's own format: take the tokenizer.json of the"
              + " model's repository on the hub, or of a conversion of it for transformers");
    }
    return JsonFile.read(path.resolve(FILE), MAX_BYTES); // says that there is none
  }

  private static JsonFile named(Path file, ObjectNode definition) {
    return JsonFile.of(Faults.MODEL, file + ": as " + FILE, definition);
  }

  /**
   * Returns the configuration of the tokenizer, as {@code tokenizer_config.json} has it.
   *
   * @param path a model directory or a GGUF file
   */
  public static Optional<JsonFile> config(Path path) {
    return config(path, MAX_CONFIG_BYTES);
  }

  /** The same for a file of at most so many bytes. */
  public static Optional<JsonFile> config(Path path, long maxBytes) {
    Optional<JsonFile> file = JsonFile.readIfPresent(path.resolve(CONFIG), maxBytes);
    if (Files.exists(path.resolve(FILE))) {
      return file;
    }
    Optional<Path> gguf = GgufModel.at(path);
    if (gguf.isPresent()) {
      ObjectNode made = new GgufTokenizer(GgufModel.header(gguf.get())).config();
      return Optional.of(JsonFile.of(Faults.MODEL, gguf.get() + ": as " + CONFIG, made));
    }
    Path pieces = path.resolve(SENTENCE_PIECE);
    if (Files.exists(pieces)) {
      return withDefaults(pieces, file, SentencePieceFile.read(pieces).config());
    }
    return VocabularyFiles.areIn(path)
        ? withDefaults(path, file, new VocabularyFiles(path, file).config())
        : file;
  }

  private static Optional<JsonFile> fileConfig(Path path) {
    return JsonFile.readIfPresent(path.resolve(CONFIG), MAX_CONFIG_BYTES);
  }

  /** What a file says goes before what is taken where it is silent. */
  private static Optional<JsonFile> withDefaults(
      Path source, Optional<JsonFile> file, ObjectNode defaults) {
    ObjectNode all = JsonNodeFactory.instance.objectNode().setAll(defaults);
    file.ifPresent(f -> all.setAll(f.root()));
    String name = file.map(JsonFile::source).orElse(source + ": as " + CONFIG);
    return Optional.of(JsonFile.of(Faults.MODEL, name, all));
  }
}
