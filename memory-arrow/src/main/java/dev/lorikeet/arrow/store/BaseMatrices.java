package dev.lorikeet.arrow.store;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The embeddings and the output matrix of the base model's files, which adapters may hold copies
 * of. Mapped when first looked into, for an adapter that holds such matrices. For one thread.
 */
final class BaseMatrices implements AutoCloseable {
  private static final System.Logger LOG = System.getLogger(BaseMatrices.class.getName());

  private final Optional<Path> model;
  private final ModelShape shape;
  private final Arena arena = Arena.ofConfined();
  private Optional<Map<String, StoredTensor>> mapped = Optional.empty();

  /**
   * Looks into nothing yet.
   *
   * @param model the model's directory, if it is known
   * @param shape its sizes
   */
  BaseMatrices(Optional<Path> model, ModelShape shape) {
    this.model = model;
    this.shape = shape;
  }

  /** Returns whether some rows of a whole matrix have the values of the base model's. */
  boolean hasRows(PartSpec spec, int firstRow, int rows, MemorySegment data) {
    if (mapped.isEmpty()) {
      mapped = Optional.of(model.map(this::map).orElse(Map.of()));
    }
    Optional<StoredTensor> found = find(mapped.get(), spec);
    return found.isPresent() && sameRows(found.get(), spec, firstRow, rows, data);
  }

  private Map<String, StoredTensor> map(Path directory) {
    try {
      return WeightFiles.map(directory, arena);
    } catch (LorikeetException e) {
      LOG.log(
          Level.WARNING,
          "{0}: matrices of adapters are kept whether they are the base model''s or not, since"
              + " its files can''t be compared: {1}",
          directory,
          e.getMessage());
      return Map.of();
    }
  }

  @Override
  public void close() {
    arena.close();
  }

  /** A model without an output matrix has its embeddings in that place. */
  private Optional<StoredTensor> find(Map<String, StoredTensor> tensors, PartSpec spec) {
    String embedding = shape.modules().embedding() + ".weight";
    String name =
        spec.target().projection() == Projection.EMBED
            ? embedding
            : shape.modules().output() + ".weight";
    return Optional.ofNullable(tensors.get(name))
        .or(() -> Optional.ofNullable(tensors.get(embedding)));
  }

  private static boolean sameRows(
      StoredTensor base, PartSpec spec, int firstRow, int rows, MemorySegment data) {
    Optional<ElementType> type =
        switch (base.type()) {
          case F32 -> Optional.of(ElementType.F32);
          case F16 -> Optional.of(ElementType.F16);
          case BF16 -> Optional.of(ElementType.BF16);
          default -> Optional.empty();
        };
    if (type.isEmpty()
        || !base.shape().equals(List.of((long) spec.rows(), (long) spec.columns()))) {
      return false;
    }
    long first = (long) firstRow * spec.columns();
    long count = (long) rows * spec.columns();
    if (type.get() == spec.type()) {
      MemorySegment same =
          base.bytes().asSlice(first * spec.type().bytes(), count * spec.type().bytes());
      return same.mismatch(data) < 0;
    }
    for (long i = 0; i < count; i++) {
      float ours = spec.type().read(data, i * spec.type().bytes());
      float theirs = type.get().read(base.bytes(), (first + i) * type.get().bytes());
      if (ours != theirs) {
        return false;
      }
    }
    return true;
  }
}
