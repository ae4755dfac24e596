package dev.lorikeet.gates;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RunningContext;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Writes a gate in the form that the router {@code gate} reads: {@code router.json} and {@code
 * router.safetensors}, described in the README of the module lorikeet-host.
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
    byte[] text =
        (new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n")
            .getBytes(UTF_8);
    WholeFile.write(directory.resolve("router.json"), text);

    int rows = experts.adapters().size();
    List<Long> layers = scope == GatePlan.Scope.LAYER ? List.of((long) gates.size()) : List.of();
    SafetensorsWriter tensors = new SafetensorsWriter();
    if (inner > 0) {
      float[] weight = joined(gates, gate -> gate.innerWeight);
      int features = weight.length / gates.size() / inner;
      tensors.add("inner.weight", shape(layers, inner, features), weight);
      tensors.add("inner.bias", shape(layers, inner), joined(gates, gate -> gate.innerBias));
    }
    float[] weight = joined(gates, gate -> gate.weight);
    int features = weight.length / gates.size() / rows;
    tensors.add("gate.weight", shape(layers, rows, features), weight);
    tensors.add("gate.bias", shape(layers, rows), joined(gates, gate -> gate.bias));
    tensors.write(directory.resolve("router.safetensors"));
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

  private static List<Long> shape(List<Long> layers, int... dimensions) {
    return LongStream.concat(
            layers.stream().mapToLong(n -> n), IntStream.of(dimensions).asLongStream())
        .boxed()
        .toList();
  }
}
