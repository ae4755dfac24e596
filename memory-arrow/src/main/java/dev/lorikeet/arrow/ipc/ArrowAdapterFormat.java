package dev.lorikeet.arrow.ipc;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/**
 * Adapters as Arrow IPC files: a table with a row per target module, in one record batch without
 * compression or dictionaries. Any Arrow library reads it. Columns, none nullable, in this order:
 * the layer and the name of the projection; rank, widths, scaling and blocks; the element type; the
 * factors, {@code a} as {@code [rank, in / a_blocks]} and {@code b} as {@code [rank, out /
 * b_blocks]}, row after row, little-endian (Arrow has no BF16, so elements are bytes).
 */
public final class ArrowAdapterFormat {
  /** How the names of such files end. */
  public static final String SUFFIX = ".arrow";

  static final String VERSION_KEY = "lorikeet.adapter";
  static final String VERSION = "1";

  /** The name of the base model that the adapter was trained on; may be absent. */
  static final String BASE_MODEL_KEY = "lorikeet.base_model";

  static final String LAYER = "layer";
  static final String PROJECTION = "projection";
  static final String RANK = "rank";
  static final String IN = "in_features";
  static final String OUT = "out_features";
  static final String SCALING = "scaling";
  static final String A_BLOCKS = "a_blocks";
  static final String B_BLOCKS = "b_blocks";
  static final String TYPE = "type";
  static final String A = "a";
  static final String B = "b";

  /** How a column's values lie in a record batch. */
  enum Kind {
    /** 32-bit integers: validity, values. */
    INT(2),
    /** 32-bit floating point: validity, values. */
    FLOAT(2),
    /** Text with 32-bit offsets: validity, offsets, bytes. */
    TEXT(3),
    /** Bytes with 64-bit offsets: validity, offsets, bytes. */
    BYTES(3);

    private final int buffers;

    Kind(int buffers) {
      this.buffers = buffers;
    }

    /** Returns how many buffers such a column has. */
    int buffers() {
      return buffers;
    }
  }

  /**
   * A column.
   *
   * @param name its name
   * @param kind how its values lie
   */
  record Column(String name, Kind kind) {}

  static final List<Column> COLUMNS =
      List.of(
          new Column(LAYER, Kind.INT),
          new Column(PROJECTION, Kind.TEXT),
          new Column(RANK, Kind.INT),
          new Column(IN, Kind.INT),
          new Column(OUT, Kind.INT),
          new Column(SCALING, Kind.FLOAT),
          new Column(A_BLOCKS, Kind.INT),
          new Column(B_BLOCKS, Kind.INT),
          new Column(TYPE, Kind.TEXT),
          new Column(A, Kind.BYTES),
          new Column(B, Kind.BYTES));

  private ArrowAdapterFormat() {}

  /** Returns the schema of an adapter of this base model. */
  static Schema schema(Optional<String> baseModel) {
    Map<String, String> metadata = new TreeMap<>(Map.of(VERSION_KEY, VERSION));
    baseModel.ifPresent(name -> metadata.put(BASE_MODEL_KEY, name));
    return new Schema(
        COLUMNS.stream()
            .map(
                column ->
                    Field.notNullable(
                        column.name(),
                        switch (column.kind()) {
                          case INT -> new ArrowType.Int(32, true);
                          case FLOAT -> new ArrowType.FloatingPoint(FloatingPointPrecision.SINGLE);
                          case TEXT -> ArrowType.Utf8.INSTANCE;
                          case BYTES -> ArrowType.LargeBinary.INSTANCE;
                        }))
            .toList(),
        metadata);
  }
}
