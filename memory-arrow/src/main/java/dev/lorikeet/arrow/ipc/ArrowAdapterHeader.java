package dev.lorikeet.arrow.ipc;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterPlan;
import dev.lorikeet.files.adapter.AdapterPlan.Placed;
import dev.lorikeet.files.adapter.AdapterPlan.Stored;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Reads and checks the description in an Arrow adapter file: every row must be a target module of
 * sound sizes whose factors are as long as they should be.
 *
 * @param file the file, for messages
 * @param channel the open file
 */
record ArrowAdapterHeader(Path file, FileChannel channel) {
  /**
   * What a file says of its adapter.
   *
   * @param placed the target modules and where their factors are
   * @param baseModel the name of the base model, if the file tells it
   */
  record Contents(List<Placed> placed, Optional<String> baseModel) {}

  /**
   * Reads the target modules and where their factors are.
   *
   * @param shape the sizes of the base model, or empty to take any
   */
  Contents read(Optional<ModelShape> shape) throws IOException {
    ArrowColumns columns;
    try {
      columns = ArrowColumns.read(file, channel);
    } catch (LorikeetException e) {
      throw e;
    } catch (RuntimeException e) { // flatbuffers check bounds as they are read, in their own way
      throw Faults.ADAPTER.refuse(file, "expected a well-formed Arrow file, found: " + e, e);
    }
    List<Placed> placed = new ArrayList<>();
    Optional<TargetModule> last = Optional.empty();
    for (int row = 0; row < columns.rows(); row++) {
      Placed at = placed(columns, row, shape);
      TargetModule target = at.spec().target();
      if (last.isPresent() && target.compareTo(last.get()) <= 0) {
        throw invalid(row, "expected modules sorted by layer and projection, each once");
      }
      last = Optional.of(target);
      placed.add(at);
    }
    if (placed.isEmpty()) {
      throw Faults.ADAPTER.refuse(file, "expected at least one target module, found no rows");
    }
    return new Contents(placed, columns.baseModel());
  }

  private Placed placed(ArrowColumns columns, int row, Optional<ModelShape> shape)
      throws IOException {
    int layer = number(columns, ArrowAdapterFormat.LAYER, row, 0, 100_000);
    String name = columns.text(ArrowAdapterFormat.PROJECTION, row);
    Projection projection =
        Projection.ofModuleName(name)
            .orElseThrow(
                () ->
                    invalid(
                        row,
                        "projection: expected q_proj to down_proj, found '"
                            + Faults.show(name)
                            + "'"));
    ElementType type = type(row, columns.text(ArrowAdapterFormat.TYPE, row));
    int rank = number(columns, ArrowAdapterFormat.RANK, row, 1, AdapterPlan.MAX_RANK);
    int in = number(columns, ArrowAdapterFormat.IN, row, 1, Integer.MAX_VALUE / 8);
    int out = number(columns, ArrowAdapterFormat.OUT, row, 1, Integer.MAX_VALUE / 8);
    int aBlocks = blocks(columns, ArrowAdapterFormat.A_BLOCKS, row, in, rank);
    int bBlocks = blocks(columns, ArrowAdapterFormat.B_BLOCKS, row, out, rank);
    float scaling = columns.decimal(ArrowAdapterFormat.SCALING, row);
    if (!Float.isFinite(scaling) || scaling == 0) {
      throw invalid(row, "scaling: expected a finite number other than 0, found " + scaling);
    }
    if (shape.isPresent()) {
      checkFits(row, shape.get(), layer, projection, in, out);
    }
    var spec =
        TargetSpec.builder(TargetModule.of(layer, projection))
            .rank(rank)
            .inFeatures(in)
            .outFeatures(out)
            .scaling(scaling)
            .aBlocks(aBlocks)
            .bBlocks(bBlocks)
            .type(type)
            .build();
    return new Placed(
        spec,
        stored(columns, ArrowAdapterFormat.A, row, type, (long) rank * spec.aRowBytes()),
        stored(columns, ArrowAdapterFormat.B, row, type, (long) rank * spec.bRowBytes()),
        Optional.empty());
  }

  private Stored stored(ArrowColumns columns, String name, int row, ElementType type, long bytes)
      throws IOException {
    return Stored.dense(begin(columns, name, row, type, bytes), type);
  }

  private long begin(ArrowColumns columns, String name, int row, ElementType type, long bytes)
      throws IOException {
    ArrowColumns.Range range = columns.bytes(name, row);
    if (range.end() - range.begin() != bytes || range.begin() % type.bytes() != 0) {
      throw invalid(
          row,
          name
              + ": expected "
              + bytes
              + " bytes at a multiple of "
              + type.bytes()
              + ", found "
              + (range.end() - range.begin())
              + " at "
              + range.begin());
    }
    return range.begin();
  }

  private void checkFits(
      int row, ModelShape shape, int layer, Projection projection, int in, int out) {
    if (layer >= shape.layers()
        || in != shape.inFeatures(projection)
        || out != shape.outFeatures(projection)) {
      throw invalid(
          row,
          "expected a layer below "
              + shape.layers()
              + " and "
              + projection
              + " of "
              + shape.inFeatures(projection)
              + " to "
              + shape.outFeatures(projection)
              + " features, as the base model has, found layer "
              + layer
              + " and "
              + in
              + " to "
              + out);
    }
  }

  private int number(ArrowColumns columns, String name, int row, int least, int most)
      throws IOException {
    int value = columns.number(name, row);
    if (value < least || value > most) {
      throw invalid(row, name + ": expected " + least + " to " + most + ", found " + value);
    }
    return value;
  }

  private int blocks(ArrowColumns columns, String name, int row, int width, int rank)
      throws IOException {
    int blocks = number(columns, name, row, 1, AdapterPlan.MAX_RANK);
    if (width % blocks != 0 || rank % blocks != 0) {
      throw invalid(
          row,
          name + ": expected a divisor of " + width + " and of rank " + rank + ", found " + blocks);
    }
    return blocks;
  }

  private ElementType type(int row, String name) {
    return switch (name) {
      case "F32" -> ElementType.F32;
      case "F16" -> ElementType.F16;
      case "BF16" -> ElementType.BF16;
      default ->
          throw invalid(row, "type: expected F32, F16 or BF16, found '" + Faults.show(name) + "'");
    };
  }

  private LorikeetException invalid(int row, String message) {
    return Faults.ADAPTER.refuse(file, "row " + row + ": " + message);
  }
}
