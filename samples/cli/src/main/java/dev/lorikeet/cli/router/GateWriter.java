package dev.lorikeet.cli.router;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RunningContext;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a gate in the form that the router {@code gate} reads: {@code router.json} and {@code
 * router.safetensors}, described in the README of the module lorikeet-plugin-jlama.
 */
final class GateWriter {
  private GateWriter() {}

  /**
   * Writes both files; the directory is made if it is not there.
   *
   * @param hidden the base model's hidden size
   * @param training where the gate comes from, for people
   */
  static void write(
      Path directory,
      Experts experts,
      RunningContext context,
      int hidden,
      int inner,
      GateNetwork.Folded gate,
      Map<String, Object> training)
      throws IOException {
    Files.createDirectories(directory);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", "lorikeet-gate");
    json.put("version", 1);
    json.put("scope", "token");
    json.put("experts", experts.adapters());
    json.put("top_k", experts.topK());
    switch (context) {
      case RunningContext.None none -> json.put("context", "none");
      case RunningContext.MeanEmbedding(float decay) -> {
        json.put("context", "mean-embedding");
        json.put("decay", decay);
      }
      case RunningContext.LastHidden last -> json.put("context", "last-hidden");
    }
    json.put("hidden_size", hidden);
    json.put("inner_size", inner);
    json.put("training", training);
    ObjectMapper mapper = new ObjectMapper();
    Files.writeString(
        directory.resolve("router.json"),
        mapper.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n");

    int rows = experts.adapters().size();
    Map<String, Object> header = new LinkedHashMap<>();
    Map<String, float[]> tensors = new LinkedHashMap<>();
    int features = (inner > 0 ? gate.innerWeight : gate.weight).length / (inner > 0 ? inner : rows);
    if (inner > 0) {
      add(header, tensors, "inner.weight", List.of(inner, features), gate.innerWeight);
      add(header, tensors, "inner.bias", List.of(inner), gate.innerBias);
    }
    add(header, tensors, "gate.weight", List.of(rows, inner > 0 ? inner : features), gate.weight);
    add(header, tensors, "gate.bias", List.of(rows), gate.bias);
    byte[] text = mapper.writeValueAsString(header).getBytes(UTF_8);
    int padded = (text.length + 7) / 8 * 8;
    ByteBuffer file = ByteBuffer.allocate(8 + padded + end(tensors)).order(ByteOrder.LITTLE_ENDIAN);
    file.putLong(padded).put(text);
    for (int i = text.length; i < padded; i++) {
      file.put((byte) ' ');
    }
    for (float[] values : tensors.values()) {
      for (float value : values) {
        file.putFloat(value);
      }
    }
    Files.write(directory.resolve("router.safetensors"), file.array());
  }

  private static void add(
      Map<String, Object> header,
      Map<String, float[]> tensors,
      String name,
      List<Integer> shape,
      float[] values) {
    int begin = end(tensors);
    tensors.put(name, values);
    header.put(
        name, Map.of("dtype", "F32", "shape", shape, "data_offsets", List.of(begin, end(tensors))));
  }

  private static int end(Map<String, float[]> tensors) {
    return tensors.values().stream().mapToInt(values -> Float.BYTES * values.length).sum();
  }
}
