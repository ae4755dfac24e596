package dev.lorikeet.arrow.ipc;

import dev.lorikeet.arrow.ipc.ArrowAdapterFormat.Column;
import dev.lorikeet.arrow.ipc.ArrowAdapterFormat.Kind;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.UntrustedFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import org.apache.arrow.flatbuf.Block;
import org.apache.arrow.flatbuf.Buffer;
import org.apache.arrow.flatbuf.Endianness;
import org.apache.arrow.flatbuf.Field;
import org.apache.arrow.flatbuf.FieldNode;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.Message;
import org.apache.arrow.flatbuf.MessageHeader;
import org.apache.arrow.flatbuf.RecordBatch;
import org.apache.arrow.flatbuf.Schema;
import org.apache.arrow.flatbuf.Type;

/**
 * The columns of an Arrow adapter file where they lie in it. Only the schema of {@link
 * ArrowAdapterFormat} is understood, so no structure of the file's own choosing is ever built.
 * Columns for the description are read; factors are only located, for whoever reads or maps them.
 */
final class ArrowColumns {
  private static final byte[] MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
  private static final int TRAILER_BYTES = Integer.BYTES + 6;
  private static final int MAX_METADATA_BYTES = 1 << 20;
  private static final int MAX_METADATA_ENTRIES = 16;
  private static final int MAX_ROWS = 1 << 16;
  private static final int CONTINUATION = -1;
  private static final int MAX_TEXT_BYTES = 16;

  private final Path file;
  private final FileChannel channel;
  private final int rows;
  private final Map<String, Range[]> buffers;
  private final Optional<String> baseModel;

  /** The values or offsets of columns that were asked for. */
  private final Map<String, ByteBuffer> read = new HashMap<>();

  /**
   * Bytes of the file.
   *
   * @param begin the first
   * @param end the one after the last
   */
  record Range(long begin, long end) {}

  private ArrowColumns(
      Path file,
      FileChannel channel,
      int rows,
      Map<String, Range[]> buffers,
      Optional<String> baseModel) {
    this.baseModel = baseModel;
    this.file = file;
    this.channel = channel;
    this.rows = rows;
    this.buffers = buffers;
  }

  /** Returns the name of the base model, if the file tells it. */
  Optional<String> baseModel() {
    return baseModel;
  }

  /** Returns the number of rows. */
  int rows() {
    return rows;
  }

  static ArrowColumns read(Path file, FileChannel channel) throws IOException {
    long size = channel.size();
    if (size < 2L * MAGIC.length + TRAILER_BYTES) {
      throw Faults.ADAPTER.refuse(
          file, "truncated: expected an Arrow file, found " + size + " bytes");
    }
    ByteBuffer trailer = bytes(file, channel, size - TRAILER_BYTES, TRAILER_BYTES);
    byte[] magic = new byte[MAGIC.length];
    trailer.get(Integer.BYTES, magic);
    if (!Arrays.equals(magic, MAGIC)
        || !Arrays.equals(bytes(file, channel, 0, MAGIC.length).array(), MAGIC)) {
      throw Faults.ADAPTER.refuse(
          file, "expected an Arrow IPC file, which begins and ends with ARROW1");
    }
    int footerBytes = trailer.getInt(0);
    long footerAt = size - TRAILER_BYTES - footerBytes;
    if (footerBytes < 8 || footerBytes > MAX_METADATA_BYTES || footerAt < MAGIC.length) {
      throw Faults.ADAPTER.refuse(
          file, "footer: expected 8 to " + MAX_METADATA_BYTES + " bytes, found " + footerBytes);
    }
    Footer footer = Footer.getRootAsFooter(bytes(file, channel, footerAt, footerBytes));
    checkSchema(file, footer.schema());
    if (footer.recordBatchesLength() != 1 || footer.dictionariesLength() != 0) {
      throw Faults.ADAPTER.refuse(
          file,
          "expected one record batch and no dictionary, found "
              + footer.recordBatchesLength()
              + " and "
              + footer.dictionariesLength());
    }
    return batch(
        file,
        channel,
        footer.recordBatches(0),
        footerAt,
        metadata(footer.schema(), ArrowAdapterFormat.BASE_MODEL_KEY).map(Faults::show));
  }

  private static void checkSchema(Path file, Schema schema) {
    boolean sound =
        schema.endianness() == Endianness.Little
            && schema.fieldsLength() == ArrowAdapterFormat.COLUMNS.size();
    for (int i = 0; sound && i < schema.fieldsLength(); i++) {
      Field field = schema.fields(i);
      Column column = ArrowAdapterFormat.COLUMNS.get(i);
      sound =
          column.name().equals(field.name())
              && field.typeType() == typeOf(column.kind())
              && field.dictionary() == null
              && field.childrenLength() == 0;
    }
    Optional<String> version = metadata(schema, ArrowAdapterFormat.VERSION_KEY);
    if (!sound || !version.equals(Optional.of(ArrowAdapterFormat.VERSION))) {
      throw Faults.ADAPTER.refuse(
          file,
          "schema: expected the columns "
              + ArrowAdapterFormat.COLUMNS.stream().map(Column::name).toList()
              + " and "
              + ArrowAdapterFormat.VERSION_KEY
              + " = "
              + ArrowAdapterFormat.VERSION
              + ", found another");
    }
  }

  private static Optional<String> metadata(Schema schema, String key) {
    for (int i = 0; i < Math.min(schema.customMetadataLength(), MAX_METADATA_ENTRIES); i++) {
      if (key.equals(schema.customMetadata(i).key())) {
        return Optional.ofNullable(schema.customMetadata(i).value());
      }
    }
    return Optional.empty();
  }

  private static byte typeOf(Kind kind) {
    return switch (kind) {
      case INT -> Type.Int;
      case FLOAT -> Type.FloatingPoint;
      case TEXT -> Type.Utf8;
      case BYTES -> Type.LargeBinary;
    };
  }

  private static ArrowColumns batch(
      Path file, FileChannel channel, Block block, long dataEnd, Optional<String> baseModel)
      throws IOException {
    long offset = block.offset();
    int metadataBytes = block.metaDataLength();
    long bodyBytes = block.bodyLength();
    if (offset < MAGIC.length
        || metadataBytes < 2 * Integer.BYTES
        || metadataBytes > MAX_METADATA_BYTES
        || bodyBytes < 0
        || offset > dataEnd - metadataBytes
        || bodyBytes > dataEnd - metadataBytes - offset) {
      throw Faults.ADAPTER.refuse(
          file,
          "record batch: expected it before the footer at "
              + dataEnd
              + ", found offset "
              + offset
              + " with "
              + metadataBytes
              + " and "
              + bodyBytes
              + " bytes");
    }
    ByteBuffer metadata = bytes(file, channel, offset, metadataBytes);
    int length = metadata.getInt(Integer.BYTES);
    if (metadata.getInt(0) != CONTINUATION
        || length < 8
        || length > metadataBytes - 2 * Integer.BYTES) {
      throw Faults.ADAPTER.refuse(
          file, "record batch: expected a message of up to " + metadataBytes + " bytes");
    }
    Message message =
        Message.getRootAsMessage(
            metadata.slice(2 * Integer.BYTES, length).order(ByteOrder.LITTLE_ENDIAN));
    if (message.headerType() != MessageHeader.RecordBatch) {
      throw Faults.ADAPTER.refuse(file, "expected a record batch, found another message");
    }
    var batch = (RecordBatch) message.header(new RecordBatch());
    long bodyAt = offset + metadataBytes;
    return columns(file, channel, batch, new Range(bodyAt, bodyAt + bodyBytes), baseModel);
  }

  private static ArrowColumns columns(
      Path file, FileChannel channel, RecordBatch batch, Range body, Optional<String> baseModel) {
    long rows = batch.length();
    int expected = ArrowAdapterFormat.COLUMNS.stream().mapToInt(c -> c.kind().buffers()).sum();
    if (batch.compression() != null
        || rows < 0
        || rows > MAX_ROWS
        || batch.nodesLength() != ArrowAdapterFormat.COLUMNS.size()
        || batch.buffersLength() != expected) {
      throw Faults.ADAPTER.refuse(
          file,
          "record batch: expected up to "
              + MAX_ROWS
              + " rows in "
              + expected
              + " buffers, not compressed");
    }
    Map<String, Range[]> buffers = new HashMap<>();
    int next = 0;
    for (int c = 0; c < ArrowAdapterFormat.COLUMNS.size(); c++) {
      Column column = ArrowAdapterFormat.COLUMNS.get(c);
      FieldNode node = batch.nodes(c);
      if (node.nullCount() != 0 || node.length() != rows) {
        throw Faults.ADAPTER.refuse(
            file, "column " + column.name() + ": expected " + rows + " values, none of them null");
      }
      Range[] ranges = new Range[column.kind().buffers()];
      for (int b = 0; b < ranges.length; b++) {
        ranges[b] = range(file, column, batch.buffers(next++), body);
      }
      buffers.put(column.name(), ranges);
      checkLength(file, column, ranges[1], rows);
    }
    return new ArrowColumns(file, channel, (int) rows, buffers, baseModel);
  }

  private static Range range(Path file, Column column, Buffer buffer, Range body) {
    long offset = buffer.offset();
    long length = buffer.length();
    long room = body.end() - body.begin();
    if (offset < 0 || length < 0 || offset > room || length > room - offset) {
      throw Faults.ADAPTER.refuse(
          file,
          "column "
              + column.name()
              + ": expected a buffer within "
              + room
              + " bytes, found offset "
              + offset
              + " and length "
              + length);
    }
    return new Range(body.begin() + offset, body.begin() + offset + length);
  }

  /** The second buffer holds the values, or one offset more than there are values. */
  private static void checkLength(Path file, Column column, Range range, long rows) {
    long needed =
        switch (column.kind()) {
          case INT, FLOAT -> rows * Integer.BYTES;
          case TEXT -> (rows + 1) * Integer.BYTES;
          case BYTES -> (rows + 1) * Long.BYTES;
        };
    if (range.end() - range.begin() < needed) {
      throw Faults.ADAPTER.refuse(
          file,
          "column "
              + column.name()
              + ": expected "
              + needed
              + " bytes, found "
              + (range.end() - range.begin()));
    }
  }

  /** Returns a value of a column of integers. */
  int number(String column, int row) throws IOException {
    return values(column, Integer.BYTES * rows).getInt(Integer.BYTES * row);
  }

  /** Returns a value of a column of floating point numbers. */
  float decimal(String column, int row) throws IOException {
    return values(column, Float.BYTES * rows).getFloat(Float.BYTES * row);
  }

  /** Returns a value of a column of text. */
  String text(String column, int row) throws IOException {
    ByteBuffer offsets = values(column, Integer.BYTES * (rows + 1));
    int at = Integer.BYTES * row;
    Range range = within(column, row, offsets.getInt(at), offsets.getInt(at + Integer.BYTES));
    int length = (int) Math.min(range.end() - range.begin(), MAX_TEXT_BYTES);
    return new String(bytes(file, channel, range.begin(), length).array(), StandardCharsets.UTF_8);
  }

  /** Returns where a value of a column of bytes lies in the file. */
  Range bytes(String column, int row) throws IOException {
    ByteBuffer offsets = values(column, Long.BYTES * (rows + 1));
    int at = Long.BYTES * row;
    return within(column, row, offsets.getLong(at), offsets.getLong(at + Long.BYTES));
  }

  private Range within(String column, int row, long from, long to) {
    Range data = buffer(column, 2);
    if (from < 0 || to < from || to > data.end() - data.begin()) {
      throw Faults.ADAPTER.refuse(
          file,
          "row "
              + row
              + ": "
              + column
              + ": expected offsets within "
              + (data.end() - data.begin())
              + " bytes, found "
              + from
              + " to "
              + to);
    }
    return new Range(data.begin() + from, data.begin() + to);
  }

  private ByteBuffer values(String column, int count) throws IOException {
    ByteBuffer known = read.get(column);
    if (known == null) {
      known = bytes(file, channel, buffer(column, 1).begin(), count);
      read.put(column, known);
    }
    return known;
  }

  private Range buffer(String column, int index) {
    Range[] ranges = buffers.get(column);
    if (ranges == null) {
      throw new IllegalArgumentException("no column " + column);
    }
    return ranges[index];
  }

  private static ByteBuffer bytes(Path file, FileChannel channel, long at, int count)
      throws IOException {
    ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    UntrustedFile.readFully(Faults.ADAPTER, file, channel, bytes, at);
    return bytes.flip();
  }
}
