package dev.lorikeet.host.serving;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Writes random PEFT adapters on q, v and down of all layers, F32. */
public final class PeftAdapterWriter {
  /** What adapters must fit. */
  public record Shape(int layers, int hidden, int intermediate, int kvWidth) {}

  private PeftAdapterWriter() {}

  /** Writes an adapter whose weights are large enough to change the output. */
  public static Path write(Path directory, long seed, int rank, Shape shape) {
    Map<String, int[]> tensors = new LinkedHashMap<>();
    for (int layer = 0; layer < shape.layers(); layer++) {
      String prefix = "base_model.model.model.layers." + layer + ".";
      add(tensors, prefix + "self_attn.q_proj", rank, shape.hidden(), shape.hidden());
      add(tensors, prefix + "self_attn.v_proj", rank, shape.hidden(), shape.kvWidth());
      add(tensors, prefix + "mlp.down_proj", rank, shape.intermediate(), shape.hidden());
    }
    StringBuilder header = new StringBuilder("{");
    long at = 0;
    for (var tensor : tensors.entrySet()) {
      int[] size = tensor.getValue();
      long end = at + 4L * size[0] * size[1];
      header
          .append(header.length() > 1 ? "," : "")
          .append(
              "\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}"
                  .formatted(tensor.getKey(), size[0], size[1], at, end));
      at = end;
    }
    header.append('}');
    header.append(" ".repeat((8 - header.length() % 8) % 8));
    byte[] head = header.toString().getBytes(StandardCharsets.UTF_8);
    ByteBuffer file = ByteBuffer.allocate((int) (8 + head.length + at));
    file.order(ByteOrder.LITTLE_ENDIAN).putLong(head.length).put(head);
    Random random = new Random(seed);
    while (file.hasRemaining()) {
      file.putFloat((float) (0.3 * random.nextGaussian()));
    }
    try {
      Files.createDirectories(directory);
      Files.write(directory.resolve("adapter_model.safetensors"), file.array());
      Files.writeString(
          directory.resolve("adapter_config.json"),
          "{\"peft_type\":\"LORA\",\"r\":%d,\"lora_alpha\":%d,".formatted(rank, 2 * rank)
              + "\"target_modules\":[\"q_proj\",\"v_proj\",\"down_proj\"]}");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return directory;
  }

  private static void add(Map<String, int[]> tensors, String module, int rank, int in, int out) {
    tensors.put(module + ".lora_A.weight", new int[] {rank, in});
    tensors.put(module + ".lora_B.weight", new int[] {out, rank});
  }
}
