package dev.lorikeet.files.gguf;

import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.model.ConfigFile;
import dev.lorikeet.files.model.WeightFiles;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Where the GGUF file of a model is. */
public final class GgufModel {
  private static final byte[] MAGIC = "GGUF".getBytes(StandardCharsets.US_ASCII);
  private static final String SUFFIX = ".gguf";
  private static final int NAMES_IN_MESSAGE = 8;

  private GgufModel() {}

  /**
   * Returns the GGUF file that a path means: itself, or the only one in a folder that has no
   * weights of another kind; empty where the path means something else.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} if there are several
   */
  public static Optional<Path> at(Path path) {
    if (Files.isRegularFile(path)) {
      return isNamed(path) || begins(path) ? Optional.of(path) : Optional.empty();
    }
    if (!Files.isDirectory(path)
        || Files.exists(path.resolve(WeightFiles.SINGLE))
        || Files.exists(path.resolve(WeightFiles.INDEX))) {
      return Optional.empty();
    }
    List<String> found = new ArrayList<>();
    try (DirectoryStream<Path> entries = Files.newDirectoryStream(path)) {
      for (Path entry : entries) {
        if (isNamed(entry)) {
          found.add(String.valueOf(entry.getFileName()));
        }
      }
    } catch (IOException e) {
      return Optional.empty(); // whoever reads the folder says what is wrong
    }
    if (found.size() > 1) {
      Collections.sort(found);
      List<String> some = found.subList(0, Math.min(NAMES_IN_MESSAGE, found.size()));
      throw Faults.MODEL.refuse(
          path,
          "expected one GGUF file, found "
              + found.size()
              + ": name the one that is meant: "
              + Faults.show(String.join(", ", some)));
    }
    return found.stream().findFirst().map(path::resolve);
  }

  /** Returns whether a path has the name of a GGUF file. */
  public static boolean isNamed(Path path) {
    return path.toString().toLowerCase(Locale.ROOT).endsWith(SUFFIX);
  }

  private static boolean begins(Path file) {
    try (FileChannel channel = UntrustedFile.open(Faults.MODEL, file)) {
      ByteBuffer start = ByteBuffer.allocate(MAGIC.length);
      while (start.hasRemaining() && channel.read(start, start.position()) >= 0) {}
      return Arrays.equals(start.array(), MAGIC);
    } catch (IOException | dev.lorikeet.LorikeetException e) {
      return false; // whoever reads the file says what is wrong
    }
  }

  /** Reads the header of a model's file. */
  public static GgufHeader header(Path file) {
    return GgufHeader.read(Faults.MODEL, file);
  }

  /**
   * Returns what the file says of the model as a configuration of Hugging Face's, for the families.
   *
   * @throws dev.lorikeet.LorikeetException with {@code MODEL_INVALID} for files that are damaged,
   *     {@code MODEL_UNSUPPORTED} for architectures that are not known
   */
  public static ConfigFile config(Path file) {
    return GgufConfig.of(header(file));
  }
}
