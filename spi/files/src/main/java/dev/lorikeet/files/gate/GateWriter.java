package dev.lorikeet.files.gate;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.WholeFile;
import dev.lorikeet.files.Workplace;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.routing.RunningContext;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Writes a gate in the form that the router {@code gate} reads: {@code router.json} and {@code
 * router.safetensors}, described in the README of the module lorikeet-host.
 */
public final class GateWriter {
  /*
   * A gate becomes another in one instant: when its router.json does. A first gate has its weights in
   * router.safetensors; one that replaces another has them in a file of another name, which its router.json tells, and
   * what the old one named goes last. Whatever a killed process leaves is either gate, whole, and files that neither
   * names, which the next one that is written here removes.
   */

  /** What a gate is. */
  public static final String JSON = "router.json";

  /** Its parameters, where it did not replace another. */
  public static final String WEIGHTS = "router.safetensors";

  private static final String OTHER_WEIGHTS = "router-*.safetensors";

  private GateWriter() {}

  /**
   * Writes both files, in place of a gate that is there; the directory is made if it is not there.
   *
   * @param gates one gate, or one for each layer
   * @param training where the gate comes from, for people
   */
  public static void write(
      Path directory, GateForm form, List<GateParameters> gates, Map<String, Object> training)
      throws IOException {
    Files.createDirectories(directory);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("format", "lorikeet-gate");
    json.put("version", 1);
    json.put("scope", form.perLayer() ? "layer" : "token");
    json.put("experts", form.experts().adapters());
    json.put("top_k", form.experts().topK());
    switch (form.context()) {
      case RunningContext.None none -> json.put("context", "none");
      case RunningContext.MeanEmbedding(float decay) -> {
        json.put("context", "mean-embedding");
        json.put("decay", decay);
      }
      case RunningContext.LastHidden last -> json.put("context", "last-hidden");
    }
    json.put("hidden_size", form.hidden());
    json.put("inner_size", form.inner());
    if (form.perLayer()) {
      json.put("layers", gates.size());
    }
    json.put("training", training);
    boolean replaces = Files.exists(directory.resolve(JSON));
    String weights =
        replaces
            ? "router-" + UUID.randomUUID().toString().substring(0, 8) + ".safetensors"
            : WEIGHTS;
    if (replaces) {
      json.put("weights", weights);
    }
    byte[] text =
        (new ObjectMapper().writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n")
            .getBytes(UTF_8);

    int rows = form.experts().adapters().size();
    List<Long> layers = form.perLayer() ? List.of((long) gates.size()) : List.of();
    SafetensorsWriter tensors = new SafetensorsWriter();
    int inner = form.inner();
    if (inner > 0) {
      float[] weight = joined(gates, GateParameters::innerWeight);
      int features = weight.length / gates.size() / inner;
      tensors.add("inner.weight", shape(layers, inner, features), weight);
      tensors.add("inner.bias", shape(layers, inner), joined(gates, GateParameters::innerBias));
    }
    float[] weight = joined(gates, GateParameters::weight);
    int features = weight.length / gates.size() / rows;
    tensors.add("gate.weight", shape(layers, rows, features), weight);
    tensors.add("gate.bias", shape(layers, rows), joined(gates, GateParameters::bias));
    try (Workplace workplace = Workplace.in(directory)) {
      place(workplace, directory, weights, tensors::writeTo);
      place(workplace, directory, JSON, channel -> WholeFile.fill(channel, text));
    }
    WholeFile.sync(directory);
    removeOthers(directory, weights);
  }

  private static void place(
      Workplace workplace, Path directory, String name, WholeFile.Content content)
      throws IOException {
    WholeFile.writeNew(workplace.path(name), content);
    Files.move(
        workplace.path(name),
        directory.resolve(name),
        StandardCopyOption.ATOMIC_MOVE,
        StandardCopyOption.REPLACE_EXISTING);
  }

  private static void removeOthers(Path directory, String weights) throws IOException {
    if (!weights.equals(WEIGHTS)) {
      Files.deleteIfExists(directory.resolve(WEIGHTS));
    }
    try (DirectoryStream<Path> others = Files.newDirectoryStream(directory, OTHER_WEIGHTS)) {
      for (Path other : others) {
        if (!other.endsWith(weights)) {
          Files.delete(other);
        }
      }
    }
  }

  private static float[] joined(
      List<GateParameters> gates, Function<GateParameters, float[]> part) {
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
