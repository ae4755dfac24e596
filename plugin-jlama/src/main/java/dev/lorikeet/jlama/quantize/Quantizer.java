package dev.lorikeet.jlama.quantize;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.gguf.GgufModel;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * Quantizes a model directory to Jlama's Q4: blocks of 32 values, each of four bits, with one
 * float32 scale. The arithmetic is Jlama's own and the file of weights is the one that its command
 * line writes: all matrices, the embedding included; no norm and no bias.
 *
 * <p>Before that the source is read as {@link JlamaModelProvider} reads it, so that Jlama sees no
 * file that has not been checked. The result is written beside its place, read and compared with
 * the source, and only then takes its place as {@link Replacement} says; nothing is left of what
 * fails, and what a killed process leaves, the next one clears away that quantizes into the same
 * folder.
 */
public final class Quantizer {
  private static final String TYPE = "Q4";
  private static final int BLOCK = 32;

  /** What belongs to a model beside its weights; the last says that a download is complete. */
  private static final List<String> COMPANIONS =
      List.of(
          "config.json",
          "tokenizer.json",
          "tokenizer_config.json",
          "README.md",
          "generation_config.json",
          "chat_template.jinja",
          "special_tokens_map.json",
          ".finished");

  private Quantizer() {}

  /**
   * Returns where Jlama puts a quantized model: {@code NAME-JQ4} beside the directory NAME.
   *
   * @param source a model directory, or the name of a model that is here
   * @throws LorikeetException if there is no such model
   * @throws IllegalArgumentException for a model in Hugging Face's cache, whose folders have an
   *     order of their own
   */
  public static Path defaultTarget(Path source) {
    Path directory = absolute(new JlamaModelProvider().describe(source).directory());
    if (Optional.ofNullable(directory.getParent())
        .filter(p -> p.endsWith("snapshots"))
        .isPresent()) {
      throw new IllegalArgumentException(
          "target: expected one for a model in Hugging Face's cache, found none");
    }
    return directory.resolveSibling(directory.getFileName() + "-J" + TYPE);
  }

  private static Path absolute(Path path) {
    return path.toAbsolutePath().normalize();
  }

  /**
   * Quantizes a model.
   *
   * @param source a model directory of a supported family with weights in F32, F16 or BF16, or the
   *     name of a model that is here
   * @param target where the quantized model will be; its parent exists
   * @param replace whether a model directory that is there gives way; otherwise nothing may be
   *     there
   * @return what the quantized model is
   * @throws LorikeetException with {@code MODEL_INVALID} or {@code MODEL_UNSUPPORTED} for a source
   *     that cannot be read or quantized, {@code INTERNAL} if the result is not what was expected
   * @throws IOException if a file cannot be written
   * @throws IllegalArgumentException if source and target are one in the other, or what would give
   *     way is no model directory
   */
  public static ModelInfo quantize(Path source, Path target, boolean replace) throws IOException {
    JlamaModelProvider provider = new JlamaModelProvider();
    ModelInfo info = provider.describe(source);
    Path from = absolute(info.directory());
    Path to = absolute(target);
    Replacement replacement = new Replacement(to);
    replacement.recover();
    checkTarget(from, to, replace);
    checkQuantizable(info);

    Path around = Objects.requireNonNull(to.getParent());
    try (Workplace workplace = Workplace.in(around)) {
      Path made = Files.createDirectory(workplace.path("quantized"));
      Q4Weights.write(from, workplace.path("tensors"), made.resolve(WeightFiles.SINGLE));
      for (String name : COMPANIONS) {
        if (Files.isRegularFile(from.resolve(name))) {
          Files.copy(from.resolve(name), made.resolve(name));
        }
      }
      WholeFile.sync(made);
      checkResult(info, provider.describe(made));
      replacement.by(made);
      WholeFile.sync(around);
    }
    return provider.describe(to);
  }

  private static void checkTarget(Path from, Path to, boolean replace) throws IOException {
    if (to.startsWith(from) || from.startsWith(to)) {
      throw new IllegalArgumentException(
          "target: expected a directory apart from " + from + ", found " + to);
    }
    if (!Files.exists(to)) {
      return;
    }
    if (!replace) {
      throw new FileAlreadyExistsException(to.toString());
    }
    if (!Files.isRegularFile(to.resolve("config.json"))) {
      throw new IllegalArgumentException(
          "target: expected nothing or a model directory to replace, found " + to);
    }
  }

  private static void checkQuantizable(ModelInfo info) {
    if (GgufModel.at(info.directory()).isPresent()) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          info.directory()
              + ": expected a model directory in Hugging Face's layout, found a GGUF file, which"
              + " llama-quantize quantizes");
    }
    if (info.weightType().equals(TYPE)) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          info.directory() + ": expected weights in F32, F16 or BF16, found " + TYPE);
    }
    if (Families.read(info.directory()).names().transposed()) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          info.directory()
              + ": expected matrices stored by rows, found those of family '"
              + info.family()
              + "', stored by columns, across which blocks of "
              + TYPE
              + " would run");
    }
    ModelShape shape = info.shape();
    checkWidth(info, "hidden size", shape.hidden());
    checkWidth(info, "intermediate size", shape.intermediate());
    checkWidth(info, "width of all heads", shape.queryWidth());
  }

  private static void checkWidth(ModelInfo info, String name, int width) {
    if (width % BLOCK != 0) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          info.directory()
              + ": "
              + name
              + ": expected a multiple of "
              + BLOCK
              + ", the block of "
              + TYPE
              + ", found "
              + width);
    }
  }

  private static void checkResult(ModelInfo source, ModelInfo result) {
    if (!result.weightType().equals(TYPE)
        || !result.shape().equals(source.shape())
        || !result.family().equals(source.family())) {
      throw new LorikeetException(
          Code.INTERNAL,
          "quantized model: expected "
              + source.family()
              + " with "
              + TYPE
              + " weights and "
              + source.shape()
              + ", found "
              + result.family()
              + " with "
              + result.weightType()
              + " and "
              + result.shape());
    }
  }
}
