package dev.lorikeet.files.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.Map;

/**
 * The weight files of a model directory: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} names. As in transformers the single file goes first where both are
 * there. Files may be symbolic links, since Hugging Face's cache consists of them, but names with a
 * path in them are refused.
 */
public final class WeightFiles {
  /** The name of the only file of weights. */
  public static final String SINGLE = "model.safetensors";

  /** The name of the list of several files of weights. */
  public static final String INDEX = "model.safetensors.index.json";

  private static final long MAX_INDEX_BYTES = 64L << 20;

  private WeightFiles() {}

  /** Maps all weights of a directory, by name. */
  public static Map<String, StoredTensor> map(Path directory, Arena arena) {
    Path single = directory.resolve(SINGLE);
    Path index = directory.resolve(INDEX);
    Map<String, StoredTensor> tensors = new HashMap<>();
    if (Files.exists(single)) {
      SafetensorsFile.map(single, arena).forEach(tensor -> tensors.put(tensor.name(), tensor));
      return tensors;
    }
    if (!Files.exists(index)) {
      throw Faults.MODEL.invalid(directory, SINGLE + " or " + INDEX, "neither" + hint(directory));
    }
    Map<String, String> shardOf = shards(JsonFile.read(index, MAX_INDEX_BYTES));
    for (String name : new LinkedHashSet<>(shardOf.values())) {
      for (StoredTensor tensor : SafetensorsFile.map(directory.resolve(name), arena)) {
        String listed = shardOf.getOrDefault(tensor.name(), "nothing");
        if (!listed.equals(name)) {
          throw Faults.MODEL.invalid(index + ": weight_map: " + tensor.name(), name, listed);
        }
        tensors.put(tensor.name(), tensor);
      }
    }
    shardOf.forEach(
        (tensor, shard) -> {
          if (!tensors.containsKey(tensor)) {
            throw Faults.MODEL.invalid(
                directory.resolve(shard), tensor + ", as " + INDEX + " says", "nothing");
          }
        });
    return tensors;
  }

  private static Map<String, String> shards(JsonFile index) {
    String key = "weight_map";
    JsonFile map = index.object(key).orElseThrow(() -> index.missing(key, "an object"));
    Map<String, String> shards = new LinkedHashMap<>();
    for (var entry : map.root().properties()) {
      JsonNode shard = entry.getValue();
      if (!shard.isTextual() || !isPlainName(shard.textValue())) {
        throw map.wrong(entry.getKey(), shard, "the name of a .safetensors file beside the index");
      }
      shards.put(entry.getKey(), shard.textValue());
    }
    if (shards.isEmpty()) {
      throw index.missing(key, "at least one tensor");
    }
    return shards;
  }

  private static boolean isPlainName(String name) {
    return name.endsWith(".safetensors")
        && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
  }

  private static String hint(Path directory) {
    return Files.exists(directory.resolve("pytorch_model.bin"))
            || Files.exists(directory.resolve("pytorch_model.bin.index.json"))
        ? " but pytorch_model.bin: convert it to safetensors first"
        : "";
  }
}
