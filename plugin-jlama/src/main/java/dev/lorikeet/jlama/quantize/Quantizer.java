package dev.lorikeet.jlama.quantize;

import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Quantizes a model directory to Jlama's Q4: blocks of 32 values, each of four bits, with one
 * float32 scale. The arithmetic and the files are Jlama's own, asked for as Jlama's command line
 * asks: all matrices, the embedding included; no norm and no bias.
 *
 * <p>Before that the source is read as {@link JlamaModelProvider} reads it, so that Jlama sees no
 * file that has not been checked. The result is written beside its place, read and compared with
 * the source, and only then moved there; nothing is left of what fails. Jlama keeps a copy of the
 * quantized weights in {@code java.io.tmpdir} until the JVM ends.
 */
public final class Quantizer {
  private static final String TYPE = "Q4";
  private static final int BLOCK = 32;

  /** As Jlama's command line: tensors whose names hold this stay as they are. */
  private static final String[] NOT_QUANTIZED = {"norm"};

  /** What belongs to a model and Jlama leaves behind; the last says that a download is complete. */
  private static final List<String> COMPANIONS =
      List.of(
          "generation_config.json", "chat_template.jinja", "special_tokens_map.json", ".finished");

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
    checkTarget(from, to, replace);
    checkQuantizable(info);

    Path scratch = Files.createTempDirectory(Objects.requireNonNull(to.getParent()), ".lorikeet-");
    try {
      Path made = scratch.resolve("quantized");
      Path readable = regularFiles(from, scratch.resolve("in"));
      SafeTensorSupport.quantizeModel(
          readable, DType.Q4, NOT_QUANTIZED, new String[0], Optional.of(made));
      for (String name : COMPANIONS) {
        if (Files.isRegularFile(from.resolve(name))) {
          Files.copy(from.resolve(name), made.resolve(name));
        }
      }
      checkResult(info, provider.describe(made));
      move(made, to, scratch.resolve("replaced"));
    } finally {
      deleteAll(scratch);
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
    if (info.weightType().equals(TYPE)) {
      throw new LorikeetException(
          Code.MODEL_UNSUPPORTED,
          info.directory() + ": expected weights in F32, F16 or BF16, found " + TYPE);
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

  /**
   * Jlama copies files without asking whether they are any, and README.md without asking whether
   * there is one; this makes a place where one is, and where nothing else is.
   */
  private static Path regularFiles(Path from, Path parent) throws IOException {
    Path directory = Files.createDirectories(parent.resolve(from.getFileName()));
    try (Stream<Path> files = Files.list(from)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.createSymbolicLink(directory.resolve(file.getFileName()), file.toRealPath());
      }
    }
    Path readme = directory.resolve("README.md");
    if (!Files.exists(readme)) {
      Files.writeString(readme, "");
    }
    return directory;
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

  private static void move(Path made, Path to, Path aside) throws IOException {
    boolean replaces = Files.exists(to);
    if (replaces) {
      Files.move(to, aside, StandardCopyOption.ATOMIC_MOVE);
    }
    try {
      Files.move(made, to, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      if (replaces) {
        Files.move(aside, to, StandardCopyOption.ATOMIC_MOVE);
      }
      throw e;
    }
  }

  private static void deleteAll(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted((a, b) -> b.getNameCount() - a.getNameCount()).toList()) {
        Files.delete(file);
      }
    }
  }
}
