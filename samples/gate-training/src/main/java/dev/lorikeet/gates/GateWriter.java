package dev.lorikeet.gates;

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
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * Writes a gate in the form that the router {@code gate} reads: {@code router.json} and {@code
 * router.safetensors}, described in the README of the module lorikeet-plugin-jlama.
 */
final class GateWriter {
  private GateWriter() {}

  /**
   * Writes both files; the directory is made if it is not there.
   *
   * @param scope where the gate decides
   * @param hidden the base model's hidden size
   * @param gates one gate, or for the scope of layers one for each
   * @param training where the gate comes from, for people
   */
  static void write(
      Path directory,
      GatePlan.Scope scope,
      Experts experts,
      RunningContext context,
      int hidden,
      int inner,
      List<GateNetwork.Folded> gates,
      Map<String, Object> training)
      throws IOException {
    Files.createDirectories(directory);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", "lorikeet-gate");
    json.put("version", 1);
    json.put("scope", scope.toString());
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
    if (scope == GatePlan.Scope.LAYER) {
      json.put("layers", gates.size());
    }
    json.put("training", training);
    ObjectMapper mapper = new ObjectMapper();
    Files.writeString(
        directory.resolve("router.json"),
        mapper.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n");

    int rows = experts.adapters().size();
    List<Integer> layers = scope == GatePlan.Scope.LAYER ? List.of(gates.size()) : List.of();
    Map<String, Object> header = new LinkedHashMap<>();
    Map<String, float[]> tensors = new LinkedHashMap<>();
    if (inner > 0) {
      float[] weight = joined(gates, gate -> gate.innerWeight);
      int features = weight.length / gates.size() / inner;
      add(header, tensors, "inner.weight", shape(layers, inner, features), weight);
      add(
          header,
          tensors,
          "inner.bias",
          shape(layers, inner),
          joined(gates, gate -> gate.innerBias));
    }
    float[] weight = joined(gates, gate -> gate.weight);
    add(
        header,
        tensors,
        "gate.weight",
        shape(layers, rows, weight.length / gates.size() / rows),
        weight);
    add(header, tensors, "gate.bias", shape(layers, rows), joined(gates, gate -> gate.bias));
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

  private static float[] joined(
      List<GateNetwork.Folded> gates, Function<GateNetwork.Folded, float[]> part) {
    List<float[]> parts = gates.stream().map(part).toList();
    float[] joined = new float[parts.stream().mapToInt(values -> values.length).sum()];
    int at = 0;
    for (float[] values : parts) {
      System.arraycopy(values, 0, joined, at, values.length);
      at += values.length;
    }
    return joined;
  }

  private static List<Integer> shape(List<Integer> layers, int... dimensions) {
    return IntStream.concat(layers.stream().mapToInt(n -> n), IntStream.of(dimensions))
        .boxed()
        .toList();
  }

  private static void add(
      Map<String, Object> header,
      Map<String, float[]> tensors,
      String name,
      List<Integer> shape,
      float[] values) {
    int begin = end(tensors);
    tensors.put(name, values);
    Map<String, Object> entry = new LinkedHashMap<>(); // in one order, so that files are the same
    entry.put("dtype", "F32");
    entry.put("shape", shape);
    entry.put("data_offsets", List.of(begin, end(tensors)));
    header.put(name, entry);
  }

  private static int end(Map<String, float[]> tensors) {
    return tensors.values().stream().mapToInt(values -> Float.BYTES * values.length).sum();
  }
}
