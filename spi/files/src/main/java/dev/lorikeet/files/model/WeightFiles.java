package dev.lorikeet.files.model;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.safetensors.SafetensorsFile;
import dev.lorikeet.files.safetensors.StoredTensor;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * The weight files of a model directory: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} names. As in transformers the single file goes first where both are
 * there. A tensor in a shard that the list does not name is taken like the others; tensors that are
 * no part of a forward pass are left out, whether they are there or not. Files may be symbolic
 * links, since Hugging Face's cache consists of them, but names with a path in them are refused.
 */
public final class WeightFiles {
  /** The name of the only file of weights. */
  public static final String SINGLE = "model.safetensors";

  /** The name of the list of several files of weights. */
  public static final String INDEX = "model.safetensors.index.json";

  private static final long MAX_INDEX_BYTES = 64L << 20;

  /**
   * What belongs to no forward pass of the language model: layers that predict further tokens at
   * once, the value head of reinforcement learning, scales of keys and values in 8 bits.
   */
  private static final Pattern IGNORED =
      Pattern.compile("(model\\.)?mtp\\..*|(.*\\.)?v_head\\..*|.*\\.[kv]_scale");

  private static final System.Logger LOG = System.getLogger(WeightFiles.class.getName());

  private WeightFiles() {}

  /** Maps all weights of a directory, by name. */
  public static Map<String, StoredTensor> map(Path directory, Arena arena) {
    Path single = directory.resolve(SINGLE);
    Path index = directory.resolve(INDEX);
    Map<String, StoredTensor> tensors = new HashMap<>();
    if (Files.exists(single)) {
      SafetensorsFile.map(single, arena).forEach(tensor -> tensors.put(tensor.name(), tensor));
      dropIgnored(single, tensors.keySet());
      return tensors;
    }
    if (!Files.exists(index)) {
      throw Faults.MODEL.invalid(directory, SINGLE + " or " + INDEX, "neither" + hint(directory));
    }
    Map<String, String> shardOf = shards(JsonFile.read(index, MAX_INDEX_BYTES));
    dropIgnored(index, shardOf.keySet());
    List<String> unlisted = new ArrayList<>();
    for (String name : new LinkedHashSet<>(shardOf.values())) {
      for (StoredTensor tensor : SafetensorsFile.map(directory.resolve(name), arena)) {
        if (IGNORED.matcher(tensor.name()).matches()) {
          continue;
        }
        String listed = shardOf.get(tensor.name());
        if (listed == null && !tensors.containsKey(tensor.name())) {
          unlisted.add(tensor.name());
        } else if (!name.equals(listed)) {
          throw Faults.MODEL.invalid(
              index + ": weight_map: " + tensor.name(), name, String.valueOf(listed));
        }
        tensors.put(tensor.name(), tensor);
      }
    }
    warn(index, unlisted, "not listed, but there; taken as they are stored");
    shardOf.forEach(
        (tensor, shard) -> {
          if (!tensors.containsKey(tensor)) {
            throw Faults.MODEL.invalid(
                directory.resolve(shard), tensor + ", as " + INDEX + " says", "nothing");
          }
        });
    return tensors;
  }

  private static void dropIgnored(Path file, Set<String> names) {
    List<String> ignored =
        names.stream().filter(name -> IGNORED.matcher(name).matches()).sorted().toList();
    ignored.forEach(names::remove);
    warn(file, ignored, "no part of what is computed here; ignored");
  }

  private static void warn(Path file, List<String> names, String what) {
    if (!names.isEmpty()) {
      LOG.log(
          Level.WARNING,
          "{0}: {1} tensors ({2}): {3}",
          file,
          String.valueOf(names.size()),
          Faults.show(String.join(", ", names)),
          what);
    }
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
