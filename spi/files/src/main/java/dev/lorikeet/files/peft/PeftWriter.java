package dev.lorikeet.files.peft;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Writes adapters as directories that PEFT loads, and that read back as they were: the same
 * elements bit for bit, the same scaling, ranks and blocks. Thread-safe.
 */
public final class PeftWriter {
  /*
   * Idea: B lies in memory as [rank, out], a row per rank, and in files as [out, rank]. A tile of TILE outputs is
   * gathered from all rows of its diagonal block into an array, transposed there, and written, so that reading walks
   * along rows and the array stays within the second-level cache.
   * What is written is read back as any hostile adapter before it is moved into place, its weights included: a
   * directory that appears can be loaded.
   */
  private static final int TILE = 256;

  private final ModelShape shape;
  private final Optional<String> baseModel;

  /**
   * Creates a writer of adapters of one base model.
   *
   * @param shape the sizes of the base model
   * @param baseModel the base model's name or path, for PEFT, which loads it from there
   */
  public PeftWriter(ModelShape shape, Optional<String> baseModel) {
    this.shape = shape;
    this.baseModel = baseModel;
  }

  /**
   * Writes an adapter that a store has, as {@link #write(Path, List)} does. The lease stays open.
   */
  public void write(Path directory, AdapterLease lease) throws IOException {
    List<LoraWeights> weights =
        lease.spec().targets().stream()
            .map(spec -> lease.weights(spec.target()).orElseThrow())
            .toList();
    write(directory, weights);
  }

  /**
   * Writes an adapter. The directory appears whole or not at all; what a killed process leaves of
   * one, the next that is written into the same folder clears away.
   *
   * @param directory where; its parent must exist, and nothing or an empty directory be there
   * @param weights one entry for each target module, in host memory, in the byte order of this
   *     machine, which is little-endian; they must not change meanwhile
   * @throws IllegalArgumentException if the weights are no adapter, or one that PEFT's format has
   *     no words for: both factors of a module block-diagonal, several numbers of blocks, a factor
   *     of another type than its partner, magnitudes of some modules only, a scaling that is not
   *     above 0
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} if the weights do not
   *     fit the base model, or not all of them are finite
   * @throws IOException if the files cannot be written; nothing of them is left then
   */
  public void write(Path directory, List<LoraWeights> weights) throws IOException {
    check(weights);
    byte[] config =
        PeftConfigWriter.json(weights, shape.layers(), baseModel).getBytes(StandardCharsets.UTF_8);
    SafetensorsWriter tensors = new SafetensorsWriter();
    weights.forEach(module -> add(tensors, module));

    Path whole = directory.toAbsolutePath();
    Path parent = whole.getParent();
    if (parent == null) {
      throw new IOException(directory + ": expected a directory in another, found the root");
    }
    refuseFull(whole);
    try (Workplace workplace = Workplace.in(parent)) {
      Path unfinished = Files.createDirectory(workplace.path("adapter"));
      WholeFile.writeNew(
          unfinished.resolve(PeftAdapterFile.CONFIG), channel -> WholeFile.fill(channel, config));
      WholeFile.writeNew(unfinished.resolve(PeftAdapterFile.WEIGHTS), tensors::writeTo);
      WholeFile.sync(unfinished);
      readBack(unfinished, weights);
      Files.move(unfinished, whole, StandardCopyOption.ATOMIC_MOVE);
      WholeFile.sync(parent);
    }
  }

  private static void refuseFull(Path directory) throws IOException {
    if (!Files.exists(directory)) {
      return;
    }
    try (var entries = Files.newDirectoryStream(directory)) {
      if (entries.iterator().hasNext()) {
        throw new FileAlreadyExistsException(
            directory.toString(), null, "expected nothing or an empty directory, found files");
      }
    }
  }

  private static void check(List<LoraWeights> weights) {
    if (weights.isEmpty()) {
      throw new IllegalArgumentException("weights: expected at least one target module");
    }
    boolean dora = weights.getFirst().magnitude().isPresent();
    Set<Object> seen = new HashSet<>();
    for (LoraWeights module : weights) {
      if (!seen.add(module.target())) {
        throw new IllegalArgumentException(
            module.target() + ": expected each target module once, found it twice");
      }
      if (module.magnitude().isPresent() != dora) {
        throw new IllegalArgumentException(
            module.target() + ": expected magnitudes of all modules or of none");
      }
      if (module.a().type() != module.b().type()) {
        throw new IllegalArgumentException(
            module.target()
                + ": expected factors of one type, found "
                + module.a().type()
                + " and "
                + module.b().type());
      }
      if (!module.a().device().equals(Device.HOST) || !module.b().device().equals(Device.HOST)) {
        throw new IllegalArgumentException(
            module.target() + ": expected weights in host memory, found " + module.a().device());
      }
    }
  }

  private void readBack(Path unfinished, List<LoraWeights> weights) throws IOException {
    List<TargetSpec> expected =
        weights.stream()
            .sorted(
                Comparator.comparingInt((LoraWeights module) -> module.target().layer())
                    .thenComparing(module -> module.target().projection()))
            .map(PeftWriter::spec)
            .toList();
    try (AdapterFile file =
        PeftAdapterFile.open(unfinished, PeftPlans.strict(Optional.of(shape)))) {
      if (!file.targets().equals(expected)) {
        throw new IllegalStateException(
            "expected to read back " + expected + ", found " + file.targets());
      }
      file.read(new FiniteCheck(file.path()));
    }
  }

  private static TargetSpec spec(LoraWeights module) {
    return TargetSpec.builder(module.target())
        .rank(module.rank())
        .inFeatures(module.a().width())
        .outFeatures(module.b().width())
        .scaling(module.scaling())
        .aBlocks(module.a().blocks())
        .bBlocks(module.b().blocks())
        .type(module.a().type())
        .magnitude(module.magnitude().isPresent())
        .build();
  }

  private static void add(SafetensorsWriter tensors, LoraWeights module) {
    String prefix = "base_model.model." + module.target().moduleName();
    LoraFactor a = module.a();
    LoraFactor b = module.b();
    StoredType type = StoredType.of(a.type());
    tensors.add(
        prefix + ".lora_A.weight",
        type,
        List.of((long) a.rank(), (long) a.rowLength()),
        output -> {
          long bytes = (long) a.rowLength() * a.type().bytes();
          for (int row = 0; row < a.rank(); row++) {
            output.write(a.memory().asSlice(a.rowOffset(row), bytes));
          }
        });
    tensors.add(
        prefix + ".lora_B.weight",
        type,
        List.of((long) b.width(), (long) b.rank() / b.blocks()),
        output -> writeTransposed(b, output));
    if (module.magnitude().isPresent()) {
      Tensor magnitude = module.magnitude().get();
      tensors.add(
          prefix + "." + "lora_magnitude_vector",
          type,
          List.of((long) b.width()),
          output -> output.write(MemorySegment.ofArray(in(magnitude, a.type()))));
    }
  }

  private static byte[] in(Tensor magnitude, ElementType type) {
    byte[] bytes = new byte[Math.toIntExact(magnitude.columns() * type.bytes())];
    MemorySegment to = MemorySegment.ofArray(bytes);
    for (int i = 0; i < magnitude.columns(); i++) {
      float value = magnitude.segment().get(ValueLayout.JAVA_FLOAT, (long) i * Float.BYTES);
      type.write(to, (long) i * type.bytes(), value);
    }
    return bytes;
  }

  private static void writeTransposed(LoraFactor b, SafetensorsWriter.Output output)
      throws IOException {
    int columns = b.rank() / b.blocks();
    for (int block = 0; block < b.blocks(); block++) {
      for (int first = 0; first < b.rowLength(); first += TILE) {
        int count = Math.min(TILE, b.rowLength() - first);
        MemorySegment tile =
            b.type() == ElementType.F32
                ? MemorySegment.ofArray(ints(b, block * columns, columns, first, count))
                : MemorySegment.ofArray(shorts(b, block * columns, columns, first, count));
        output.write(tile);
      }
    }
  }

  private static int[] ints(LoraFactor b, int firstRow, int columns, int first, int count) {
    int[] tile = new int[columns * count];
    int[] line = new int[count];
    for (int column = 0; column < columns; column++) {
      long from = b.rowOffset(firstRow + column) + (long) first * Integer.BYTES;
      MemorySegment.copy(b.memory(), ValueLayout.JAVA_INT_UNALIGNED, from, line, 0, count);
      for (int i = 0, at = column; i < count; i++, at += columns) {
        tile[at] = line[i];
      }
    }
    return tile;
  }

  private static short[] shorts(LoraFactor b, int firstRow, int columns, int first, int count) {
    short[] tile = new short[columns * count];
    short[] line = new short[count];
    for (int column = 0; column < columns; column++) {
      long from = b.rowOffset(firstRow + column) + (long) first * Short.BYTES;
      MemorySegment.copy(b.memory(), ValueLayout.JAVA_SHORT_UNALIGNED, from, line, 0, count);
      for (int i = 0, at = column; i < count; i++, at += columns) {
        tile[at] = line[i];
      }
    }
    return tile;
  }
}
