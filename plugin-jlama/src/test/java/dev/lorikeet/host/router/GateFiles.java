package dev.lorikeet.host.router;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** Writes gates with random parameters; tests spoil what they want spoilt. */
public final class GateFiles {
  /** One tensor: shape and elements. */
  public record Stored(List<Integer> shape, FloatBuffer values) {}

  /** What goes into {@code router.json}. */
  public final Map<String, Object> json = new LinkedHashMap<>();

  /** What goes into {@code router.safetensors}. */
  public final Map<String, Stored> tensors = new LinkedHashMap<>();

  /**
   * Creates a random gate.
   *
   * @param layers 0 for a gate of tokens
   * @param decay of the mean embedding; negative for no context
   * @param inner width of the inner layer, 0 for none
   */
  public GateFiles(
      long seed, List<String> experts, int topK, int layers, int hidden, double decay, int inner) {
    Random random = new Random(seed);
    json.put("format", "lorikeet-gate");
    json.put("version", 1);
    json.put("scope", layers > 0 ? "layer" : "token");
    if (layers > 0) {
      json.put("layers", layers);
    }
    json.put("experts", experts);
    json.put("top_k", topK);
    json.put("context", decay < 0 ? "none" : "mean-embedding");
    if (decay >= 0) {
      json.put("decay", decay);
    }
    json.put("hidden_size", hidden);
    json.put("inner_size", inner);
    int features = decay < 0 ? hidden : 2 * hidden;
    int last = inner > 0 ? inner : features;
    if (inner > 0) {
      tensor(random, "inner.weight", layers, inner, features);
      tensor(random, "inner.bias", layers, inner);
    }
    tensor(random, "gate.weight", layers, experts.size(), last);
    tensor(random, "gate.bias", layers, experts.size());
  }

  private void tensor(Random random, String name, int layers, int... dimensions) {
    List<Integer> shape = new ArrayList<>();
    if (layers > 0) {
      shape.add(layers);
    }
    for (int dimension : dimensions) {
      shape.add(dimension);
    }
    float[] values = new float[shape.stream().reduce(1, Math::multiplyExact)];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    tensors.put(name, new Stored(shape, FloatBuffer.wrap(values)));
  }

  /** Returns the elements of a tensor. */
  public float[] values(String name) {
    Stored stored = tensors.get(name);
    return stored == null ? new float[0] : stored.values().array();
  }

  /** Writes both files, and returns the directory. */
  public Path write(Path directory) {
    try {
      Files.createDirectories(directory);
      ObjectMapper mapper = new ObjectMapper();
      mapper.writeValue(directory.resolve("router.json").toFile(), json);
      SafetensorsWriter writer = new SafetensorsWriter();
      tensors.forEach(
          (name, stored) ->
              writer.add(
                  name,
                  stored.shape().stream().map(Integer::longValue).toList(),
                  stored.values().array()));
      writer.write(directory.resolve("router.safetensors"));
      return directory;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Returns {@code count} names: a, b, c and so on. */
  public static List<String> names(int count) {
    return Collections.unmodifiableList(
        "abcdefghijklmnopqrstuvwxyz".chars().limit(count).mapToObj(Character::toString).toList());
  }
}
