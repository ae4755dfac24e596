package dev.lorikeet.bench.model;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SplittableRandom;

/** Writes safetensors files of BF16 tensors whose elements come from a seed. */
final class SafetensorsWriter {
  private static final int HEADER_ALIGNMENT = 8;
  private static final int BF16_BYTES = 2;
  private static final int CHUNK_ELEMENTS = 1 << 18;

  /** How the elements of a tensor come about. */
  sealed interface Fill {
    /** Every element is one, as in a norm that leaves things alone. */
    record Ones() implements Fill {}

    /** Elements are uniform between {@code -bound} and {@code bound}. */
    record Uniform(float bound) implements Fill {}

    /** As {@link Uniform}, but that some rows of the matrix are zero. */
    record ZeroRows(float bound, java.util.function.IntPredicate zero) implements Fill {}
  }

  private record Tensor(int rows, int columns, boolean vector, Fill fill) {
    long elements() {
      return (long) rows * columns;
    }
  }

  private final Map<String, Tensor> tensors = new LinkedHashMap<>();

  /** Adds a matrix. */
  SafetensorsWriter matrix(String name, int rows, int columns, Fill fill) {
    tensors.put(name, new Tensor(rows, columns, false, fill));
    return this;
  }

  /** Adds a vector of ones. */
  SafetensorsWriter ones(String name, int elements) {
    tensors.put(name, new Tensor(1, elements, true, new Fill.Ones()));
    return this;
  }

  /** Writes all tensors, in the order in which they were added. */
  void write(Path file, long seed) throws IOException {
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 20)) {
      byte[] header = header();
      out.write(
          ByteBuffer.allocate(Long.BYTES)
              .order(ByteOrder.LITTLE_ENDIAN)
              .putLong(header.length)
              .array());
      out.write(header);
      SplittableRandom seeds = new SplittableRandom(seed);
      for (Tensor tensor : tensors.values()) {
        write(out, tensor, seeds.split());
      }
    }
  }

  private byte[] header() {
    ObjectNode root = new ObjectMapper().createObjectNode();
    long offset = 0;
    for (var entry : tensors.entrySet()) {
      Tensor tensor = entry.getValue();
      ObjectNode description = root.putObject(entry.getKey()).put("dtype", "BF16");
      var shape = description.putArray("shape");
      if (!tensor.vector()) {
        shape.add(tensor.rows());
      }
      shape.add(tensor.columns());
      long end = offset + tensor.elements() * BF16_BYTES;
      description.putArray("data_offsets").add(offset).add(end);
      offset = end;
    }
    String json = root.toString();
    int padding = -json.getBytes(UTF_8).length & HEADER_ALIGNMENT - 1;
    return (json + " ".repeat(padding)).getBytes(UTF_8);
  }

  private static void write(OutputStream out, Tensor tensor, SplittableRandom random)
      throws IOException {
    byte[] chunk = new byte[CHUNK_ELEMENTS * BF16_BYTES];
    int at = 0;
    for (long i = 0; i < tensor.elements(); i++) {
      float value =
          switch (tensor.fill()) {
            case Fill.Ones ones -> 1;
            case Fill.Uniform uniform -> uniform(random, uniform.bound());
            case Fill.ZeroRows rows ->
                rows.zero().test((int) (i / tensor.columns())) ? 0 : uniform(random, rows.bound());
          };
      int bits = Float.floatToRawIntBits(value) >>> 16; // BF16, cut rather than rounded
      chunk[at++] = (byte) bits;
      chunk[at++] = (byte) (bits >> 8);
      if (at == chunk.length) {
        out.write(chunk);
        at = 0;
      }
    }
    out.write(chunk, 0, at);
  }

  private static float uniform(SplittableRandom random, float bound) {
    return (float) ((random.nextDouble() * 2 - 1) * bound);
  }
}
