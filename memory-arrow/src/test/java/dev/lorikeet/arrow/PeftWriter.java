package dev.lorikeet.arrow;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/** Writes PEFT adapter directories for tests; every part can be changed before it is written. */
final class PeftWriter {
  /** A small model: widths that are no multiples of a vector. */
  static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(2)
          .hidden(24)
          .intermediate(40)
          .heads(3)
          .kvHeads(1)
          .headDim(8)
          .vocabulary(100)
          .build();

  private static final ObjectMapper JSON = new ObjectMapper();

  /** One tensor as it is written. */
  static final class Tensor {
    String dtype;
    List<Long> shape;
    byte[] data;
    long begin = -1;
    long end = -1;

    Tensor(String dtype, List<Long> shape, byte[] data) {
      this.dtype = dtype;
      this.shape = shape;
      this.data = data;
    }
  }

  final ObjectNode config = JSON.createObjectNode();
  final Map<String, Tensor> tensors = new LinkedHashMap<>();
  final ModelShape shape;

  PeftWriter(ModelShape shape) {
    this.shape = shape;
    config.put("peft_type", "LORA");
    config.put("task_type", "CAUSAL_LM");
    config.put("bias", "none");
    config.put("lora_dropout", 0.05);
    config.put("inference_mode", true);
    config.putNull("modules_to_save");
    config.putObject("rank_pattern");
    config.putObject("alpha_pattern");
    config.putArray("target_modules");
  }

  /** Returns a writer of an adapter of one rank on some projections of all layers. */
  static PeftWriter of(
      ModelShape shape, int rank, String dtype, Set<Projection> projections, Random random) {
    var writer = new PeftWriter(shape);
    writer.config.put("r", rank);
    writer.config.put("lora_alpha", 2 * rank);
    var names = writer.config.putArray("target_modules");
    for (Projection projection : projections) {
      names.add(projection.moduleName());
      for (int layer = 0; layer < shape.layers(); layer++) {
        writer.add(layer, projection, rank, 1, 1, dtype, random);
      }
    }
    return writer;
  }

  static String name(int layer, Projection projection, char factor) {
    return "base_model.model.model.layers."
        + layer
        + "."
        + projection.path()
        + ".lora_"
        + factor
        + ".weight";
  }

  void add(
      int layer,
      Projection projection,
      int rank,
      int aBlocks,
      int bBlocks,
      String dtype,
      Random random) {
    int in = shape.inFeatures(projection) / aBlocks;
    int out = shape.outFeatures(projection);
    tensors.put(name(layer, projection, 'A'), random(dtype, rank, in, random));
    tensors.put(name(layer, projection, 'B'), random(dtype, out, rank / bBlocks, random));
  }

  static Tensor random(String dtype, int rows, int columns, Random random) {
    ElementType type = ElementType.valueOf(dtype);
    byte[] data = new byte[rows * columns * type.bytes()];
    for (int i = 0; i < rows * columns; i++) {
      long at = (long) i * type.bytes();
      type.write(MemorySegment.ofArray(data), at, (float) random.nextGaussian());
    }
    return new Tensor(dtype, List.of((long) rows, (long) columns), data);
  }

  Tensor tensor(int layer, Projection projection, char factor) {
    Tensor tensor = tensors.get(name(layer, projection, factor));
    if (tensor == null) {
      throw new IllegalArgumentException(name(layer, projection, factor));
    }
    return tensor;
  }

  String header() {
    ObjectNode header = JSON.createObjectNode();
    header.putObject("__metadata__").put("format", "pt");
    long at = 0;
    for (var entry : tensors.entrySet()) {
      Tensor tensor = entry.getValue();
      long begin = tensor.begin >= 0 ? tensor.begin : at;
      long end = tensor.end >= 0 ? tensor.end : at + tensor.data.length;
      ObjectNode node = header.putObject(entry.getKey());
      node.put("dtype", tensor.dtype);
      var dimensions = node.putArray("shape");
      tensor.shape.forEach(dimensions::add);
      node.putArray("data_offsets").add(begin).add(end);
      at += tensor.data.length;
    }
    return header.toString();
  }

  byte[] weights() {
    return weights(header().getBytes(StandardCharsets.UTF_8));
  }

  byte[] weights(byte[] header) {
    var file = new ByteArrayOutputStream();
    file.writeBytes(
        ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).array());
    file.writeBytes(header);
    tensors.values().forEach(tensor -> file.writeBytes(tensor.data));
    return file.toByteArray();
  }

  Path write(Path directory) {
    try {
      Files.createDirectories(directory);
      Files.writeString(directory.resolve("adapter_config.json"), config.toPrettyString());
      Files.write(directory.resolve("adapter_model.safetensors"), weights());
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
