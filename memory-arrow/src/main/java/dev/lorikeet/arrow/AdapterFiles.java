package dev.lorikeet.arrow;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.ipc.ArrowAdapterFile;
import dev.lorikeet.arrow.ipc.ArrowAdapterFormat;
import dev.lorikeet.arrow.ipc.ArrowAdapterWriter;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.gguf.GgufAdapterFile;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;

/**
 * Adapter files outside a store: description, conversion to Arrow, inspection, and mapping. Every
 * method but {@link #describe} reads and checks all weights. Thread-safe.
 */
public final class AdapterFiles {
  private AdapterFiles() {}

  /**
   * Writes an adapter as one Arrow IPC file, which {@link ArrowAdapterStoreProvider}'s stores
   * register by its path and load by copying, and which {@link #map} uses without a copy. The file
   * appears whole or not at all and replaces one of that name; its folder is made if there is none.
   *
   * @param adapter a PEFT directory, a GGUF file or an Arrow adapter file
   * @param shape the sizes of the base model
   * @param arrowFile where to write; the name must end in {@code .arrow}
   * @return the target modules
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} or {@code
   *     ADAPTER_UNSUPPORTED}; the message names the file and the key or tensor; {@code
   *     INVALID_REQUEST} if the name does not end in {@code .arrow}; {@code STORAGE_FULL} or {@code
   *     IO_FAILED} if the file can't be written
   */
  public static List<TargetSpec> convert(Path adapter, ModelShape shape, Path arrowFile) {
    return convert(adapter, shape, arrowFile, AdapterChecks.DEFAULT);
  }

  /**
   * Writes an adapter as {@link #convert(Path, ModelShape, Path)} does.
   *
   * @param checks what is asked of the adapter's folder
   */
  public static List<TargetSpec> convert(
      Path adapter, ModelShape shape, Path arrowFile, AdapterChecks checks) {
    if (!arrowFile.toString().endsWith(ArrowAdapterFormat.SUFFIX)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          "arrowFile: expected a name that ends in "
              + ArrowAdapterFormat.SUFFIX
              + ", found "
              + arrowFile);
    }
    try (AdapterFile source = open(adapter, Optional.of(shape), checks)) {
      Path parent = arrowFile.toAbsolutePath().getParent();
      if (parent == null) {
        throw new LorikeetException(
            Code.INVALID_REQUEST, "arrowFile: expected a file, found " + arrowFile);
      }
      Files.createDirectories(parent);
      try (Workplace workplace = Workplace.in(parent)) {
        Path unfinished = workplace.path("adapter" + ArrowAdapterFormat.SUFFIX);
        ArrowAdapterWriter.write(source, unfinished);
        ArrowAdapterFile.open(unfinished, Optional.of(shape)).close();
        Files.move(
            unfinished,
            arrowFile,
            StandardCopyOption.ATOMIC_MOVE,
            StandardCopyOption.REPLACE_EXISTING);
      }
      WholeFile.sync(parent);
      return source.targets();
    } catch (IOException e) {
      throw LorikeetException.ofFiles("converting " + adapter + " to " + arrowFile, e);
    }
  }

  /**
   * Reads and checks an adapter.
   *
   * @param adapter a PEFT directory, a GGUF file or an Arrow adapter file
   * @param shape the sizes of the base model
   * @return the target modules, sorted by layer and projection
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} or {@code
   *     ADAPTER_UNSUPPORTED}; the message names the file and the key or tensor
   */
  public static List<TargetSpec> inspect(Path adapter, ModelShape shape) {
    return inspect(adapter, shape, AdapterChecks.DEFAULT);
  }

  /**
   * Reads and checks an adapter as {@link #inspect(Path, ModelShape)} does.
   *
   * @param checks what is asked of the adapter's folder
   */
  public static List<TargetSpec> inspect(Path adapter, ModelShape shape, AdapterChecks checks) {
    try (AdapterFile file = open(adapter, Optional.of(shape), checks)) {
      file.read(new FiniteCheck(file.path()));
      file.text(shape.vocabulary());
      return file.targets();
    } catch (IOException e) {
      throw Faults.ADAPTER.refuse(adapter, "expected a readable adapter, found: " + e, e);
    }
  }

  /**
   * Reads and checks what an adapter says of itself, without its weights and whatever the base
   * model: sizes are taken from the tensors.
   *
   * @param adapter a PEFT directory, a GGUF file or an Arrow adapter file
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} or {@code
   *     ADAPTER_UNSUPPORTED}; the message names the file and the key or tensor
   */
  public static AdapterDescription describe(Path adapter) {
    return describe(adapter, AdapterChecks.DEFAULT);
  }

  /**
   * Reads what an adapter says of itself as {@link #describe(Path)} does.
   *
   * @param checks what is asked of the adapter's folder
   */
  public static AdapterDescription describe(Path adapter, AdapterChecks checks) {
    try (AdapterFile file = open(adapter, Optional.empty(), checks)) {
      return new AdapterDescription(
          format(adapter), file.baseModel(), file.targets(), file.parts());
    } catch (IOException e) {
      throw Faults.ADAPTER.refuse(adapter, "expected a readable adapter, found: " + e, e);
    }
  }

  /**
   * Maps an Arrow adapter file into memory: its weights are used where they are, shared with all
   * processes that map the file. While it is mapped the file must not be changed or cut: reading
   * beyond a new end would end the process. What was changed before weights are asked for is an
   * error. Replace the file by renaming another, as {@link #convert} does.
   *
   * @param arrowFile an Arrow adapter file
   * @return the mapped adapter, which the caller closes
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID}; the message names the
   *     file and the row and column
   */
  public static MappedAdapter map(Path arrowFile) {
    return MappedAdapter.open(arrowFile);
  }

  private static AdapterDescription.Format format(Path adapter) {
    if (GgufAdapterFile.isNamed(adapter)) {
      return AdapterDescription.Format.GGUF;
    }
    return ArrowAdapterFile.isNamed(adapter)
        ? AdapterDescription.Format.ARROW
        : AdapterDescription.Format.PEFT;
  }

  private static AdapterFile open(Path adapter, Optional<ModelShape> shape, AdapterChecks checks)
      throws IOException {
    if (GgufAdapterFile.isNamed(adapter)) {
      return GgufAdapterFile.open(adapter, shape);
    }
    return ArrowAdapterFile.isNamed(adapter)
        ? ArrowAdapterFile.open(adapter, shape)
        : PeftAdapterFile.open(adapter, checks.plans(shape), checks.links());
  }
}
