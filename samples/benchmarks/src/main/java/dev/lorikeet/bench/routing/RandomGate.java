package dev.lorikeet.bench.routing;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;

/** Writes gates with random parameters: every token gets other experts. */
final class RandomGate {
  private RandomGate() {}

  /**
   * Writes a gate for {@code layers} layers, or one for tokens if that is 0, as {@code gate}
   * routers read it.
   */
  static void write(Path directory, List<String> experts, int topK, int layers, int hidden)
      throws IOException {
    Files.createDirectories(directory);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", "lorikeet-gate");
    json.put("version", 1);
    json.put("scope", layers == 0 ? "token" : "layer");
    if (layers > 0) {
      json.put("layers", layers);
    }
    json.put("experts", experts);
    json.put("top_k", topK);
    json.put("context", "none");
    json.put("hidden_size", hidden);
    ObjectMapper mapper = new ObjectMapper();
    mapper.writeValue(directory.resolve("router.json").toFile(), json);

    int gates = Math.max(1, layers);
    int weights = gates * experts.size() * hidden;
    int biases = gates * experts.size();
    String lead = layers == 0 ? "[" : "[" + layers + ", ";
    Object header =
        Map.of(
            "gate.weight",
            tensor(lead + experts.size() + ", " + hidden + "]", 0, weights, mapper),
            "gate.bias",
            tensor(lead + experts.size() + "]", weights, biases, mapper));
    byte[] text = mapper.writeValueAsString(header).getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + text.length + 4 * (weights + biases))
            .order(ByteOrder.LITTLE_ENDIAN)
            .putLong(text.length)
            .put(text);
    SplittableRandom random = new SplittableRandom(layers);
    for (int i = 0; i < weights; i++) {
      bytes.putFloat((float) random.nextGaussian());
    }
    try (OutputStream out = Files.newOutputStream(directory.resolve("router.safetensors"))) {
      out.write(bytes.array());
    }
  }

  private static Map<String, Object> tensor(String shape, int from, int count, ObjectMapper mapper)
      throws IOException {
    return Map.of(
        "dtype",
        "F32",
        "shape",
        mapper.readTree(shape),
        "data_offsets",
        List.of(4L * from, 4L * (from + count)));
  }
}
