package dev.lorikeet.arrow.ipc;

import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.arrow.offheap.FfmAllocationManager;
import dev.lorikeet.arrow.pool.ArrowPagePool;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.adapter.FiniteCheck;
import dev.lorikeet.files.adapter.RowWriter;
import dev.lorikeet.files.adapter.WeightPlaces;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.LargeVarBinaryVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileWriter;

/** Writes adapters in {@link ArrowAdapterFormat}. */
public final class ArrowAdapterWriter {
  private final List<TargetSpec> targets;
  private final long[][] rows;
  private final MemorySegment weights;
  private final Optional<String> baseModel;

  private ArrowAdapterWriter(
      List<TargetSpec> targets, long[][] rows, MemorySegment weights, Optional<String> baseModel) {
    this.baseModel = baseModel;
    this.targets = targets;
    this.rows = rows;
    this.weights = weights;
  }

  /** Writes an adapter to a file that does not exist yet. */
  public static void write(AdapterFile source, Path to) throws IOException {
    List<TargetSpec> targets = source.targets();
    boolean plain =
        source.parts().isEmpty()
            && targets.stream().allMatch(t -> t.target().isPlain() && !t.magnitude());
    if (!plain) {
      throw Faults.ADAPTER.refuseUnsupported(
          source.path(),
          "Arrow files hold LoRA on linear layers of decoder blocks alone; this adapter changes"
              + " more (DoRA, biases, embeddings, output layer or experts): use it as it is");
    }
    WeightPlaces places = WeightPlaces.empty(targets, List.of());
    long[][] rows = places.factors();
    long bytes = 0;
    for (int factor = 0; factor < rows.length; factor++) {
      TargetSpec spec = targets.get(factor / 2);
      long rowBytes = rowBytes(spec, factor);
      rows[factor] = new long[spec.rank()];
      for (int r = 0; r < spec.rank(); r++, bytes += rowBytes) {
        rows[factor][r] = bytes;
      }
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment weights = arena.allocate(bytes, 64);
      var check = new FiniteCheck(source.path());
      var copy = new RowWriter(places, weights);
      source.read(
          (target, spec, factor, firstLine, lines, data) -> {
            check.accept(target, spec, factor, firstLine, lines, data);
            copy.accept(target, spec, factor, firstLine, lines, data);
          });
      new ArrowAdapterWriter(targets, rows, weights, source.baseModel()).write(to);
    }
  }

  private static long rowBytes(TargetSpec spec, int factor) {
    return factor % 2 == 0 ? spec.aRowBytes() : spec.bRowBytes();
  }

  private void write(Path to) throws IOException {
    var factory = new FfmAllocationManager.FfmFactory();
    try (var allocator = ArrowPagePool.allocator(factory, Long.MAX_VALUE);
        var root = VectorSchemaRoot.create(ArrowAdapterFormat.schema(baseModel), allocator);
        var channel =
            FileChannel.open(to, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
      fill(root);
      try (var writer = new ArrowFileWriter(root, null, channel)) {
        writer.start();
        writer.writeBatch();
        writer.end();
      }
    }
  }

  private void fill(VectorSchemaRoot root) {
    for (int t = 0; t < targets.size(); t++) {
      TargetSpec spec = targets.get(t);
      number(root, ArrowAdapterFormat.LAYER, t, spec.target().layer());
      text(root, ArrowAdapterFormat.PROJECTION, t, spec.target().projection().moduleName());
      number(root, ArrowAdapterFormat.RANK, t, spec.rank());
      number(root, ArrowAdapterFormat.IN, t, spec.inFeatures());
      number(root, ArrowAdapterFormat.OUT, t, spec.outFeatures());
      ((Float4Vector) root.getVector(ArrowAdapterFormat.SCALING)).setSafe(t, spec.scaling());
      number(root, ArrowAdapterFormat.A_BLOCKS, t, spec.aBlocks());
      number(root, ArrowAdapterFormat.B_BLOCKS, t, spec.bBlocks());
      text(root, ArrowAdapterFormat.TYPE, t, spec.type().name());
      factor(root, ArrowAdapterFormat.A, t, 2 * t, spec);
      factor(root, ArrowAdapterFormat.B, t, 2 * t + 1, spec);
    }
    root.setRowCount(targets.size());
  }

  private static void number(VectorSchemaRoot root, String column, int row, int value) {
    ((IntVector) root.getVector(column)).setSafe(row, value);
  }

  private static void text(VectorSchemaRoot root, String column, int row, String value) {
    ((VarCharVector) root.getVector(column))
        .setSafe(row, value.getBytes(StandardCharsets.US_ASCII));
  }

  private void factor(VectorSchemaRoot root, String column, int row, int factor, TargetSpec spec) {
    long bytes = spec.rank() * rowBytes(spec, factor);
    byte[] value = weights.asSlice(rows[factor][0], bytes).toArray(ValueLayout.JAVA_BYTE);
    ((LargeVarBinaryVector) root.getVector(column)).setSafe(row, value);
  }
}
