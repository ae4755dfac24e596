package dev.lorikeet.host.router;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.safetensors.FloatTensors;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RunningContext;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Reads a gate from a directory: {@code router.json} says what it is, {@code router.safetensors}
 * holds its parameters. The README of this module describes both. Files are untrusted: everything
 * is checked before the first use.
 */
final class GateFile {
  private static final String FORMAT = "lorikeet-gate";
  private static final int VERSION = 1;
  private static final Pattern WEIGHTS = Pattern.compile("router(-[0-9a-f]{1,32})?\\.safetensors");
  private static final long MAX_JSON_BYTES = 1 << 20;
  private static final int MAX_EXPERTS = 4096;
  private static final int MAX_LAYERS = 4096;
  private static final int MAX_WIDTH = 1 << 20;

  private GateFile() {}

  /**
   * Reads a gate.
   *
   * @throws LorikeetException with code {@code ROUTER_FAILED} that names the file and the key or
   *     tensor, what was expected and what was found
   */
  static Gate read(Path directory) {
    try {
      JsonFile json = JsonFile.read(directory.resolve("router.json"), MAX_JSON_BYTES);
      return read(json, directory.resolve(weights(json)));
    } catch (LorikeetException e) {
      throw new LorikeetException(Code.ROUTER_FAILED, "gate: " + e.getMessage(), e);
    }
  }

  private static String weights(JsonFile json) {
    String name = json.text("weights").orElse("router.safetensors");
    if (!WEIGHTS.matcher(name).matches()) {
      throw wrong(json, "weights", "a file like router-1a2b.safetensors beside router.json");
    }
    return name;
  }

  private static Gate read(JsonFile json, Path tensors) {
    String format = text(json, "format");
    if (!format.equals(FORMAT)) {
      throw wrong(json, "format", FORMAT);
    }
    json.integer("version", VERSION, VERSION);
    List<String> names = names(json);
    int topK = json.integer("top_k", 1, names.size());
    int layers = layers(json);
    RunningContext context = context(json, layers);
    int hidden = json.integer("hidden_size", 1, MAX_WIDTH);
    int inner = json.optionalInteger("inner_size", 0, MAX_WIDTH).orElse(0);
    GateShape shape = new GateShape(new Experts(names, topK), context, layers, hidden, inner);
    Map<String, List<Long>> shapes = new HashMap<>();
    shapes.put("gate.weight", shape(layers, names.size(), shape.lastInputs()));
    shapes.put("gate.bias", shape(layers, names.size()));
    if (inner > 0) {
      shapes.put("inner.weight", shape(layers, inner, shape.features()));
      shapes.put("inner.bias", shape(layers, inner));
    }
    Map<String, float[]> values = FloatTensors.read(tensors, shapes);
    return new Gate(
        shape,
        values.getOrDefault("inner.weight", new float[0]),
        values.getOrDefault("inner.bias", new float[0]),
        values.getOrDefault("gate.weight", new float[0]),
        values.getOrDefault("gate.bias", new float[0]));
  }

  private static List<Long> shape(int layers, int... dimensions) {
    List<Long> shape = new ArrayList<>();
    if (layers > 0) {
      shape.add((long) layers);
    }
    for (int dimension : dimensions) {
      shape.add((long) dimension);
    }
    return shape;
  }

  private static List<String> names(JsonFile json) {
    String expected = "a list of 1 to " + MAX_EXPERTS + " adapters' names, all distinct";
    JsonNode list = json.node("experts").orElseThrow(() -> json.missing("experts", expected));
    if (!list.isArray() || list.isEmpty() || list.size() > MAX_EXPERTS) {
      throw json.wrong("experts", list, expected);
    }
    List<String> names = new ArrayList<>();
    for (JsonNode name : list) {
      if (!name.isTextual() || name.textValue().isBlank() || names.contains(name.textValue())) {
        throw json.wrong("experts", name, expected);
      }
      names.add(name.textValue());
    }
    return names;
  }

  private static int layers(JsonFile json) {
    return switch (text(json, "scope")) {
      case "token" -> 0;
      case "layer" -> json.integer("layers", 1, MAX_LAYERS);
      default -> throw wrong(json, "scope", "token or layer");
    };
  }

  private static RunningContext context(JsonFile json, int layers) {
    RunningContext context =
        switch (text(json, "context")) {
          case "none" -> new RunningContext.None();
          case "mean-embedding" ->
              new RunningContext.MeanEmbedding((float) json.number("decay", 0, Math.nextDown(1f)));
          case "last-hidden" -> new RunningContext.LastHidden();
          default -> throw wrong(json, "context", "none, mean-embedding or last-hidden");
        };
    if (layers > 0 && !(context instanceof RunningContext.None)) {
      throw wrong(json, "context", "none for a gate of layers");
    }
    return context;
  }

  private static String text(JsonFile json, String key) {
    return json.text(key).orElseThrow(() -> json.missing(key, "text"));
  }

  private static LorikeetException wrong(JsonFile json, String key, String expected) {
    return json.wrong(key, json.root().path(key), expected);
  }
}
