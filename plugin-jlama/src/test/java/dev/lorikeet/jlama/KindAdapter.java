package dev.lorikeet.jlama;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * A random adapter of many kinds at once, as a PEFT directory, and what it makes of its base model
 * merged into a model directory of its own: weights, biases, embeddings and output layer computed
 * in double precision.
 */
final class KindAdapter {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String EMBEDDING = "model.embed_tokens";
  private static final String OUTPUT = "lm_head";

  /** A tensor of the base model. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Base(List<Long> shape, double[] values) {
    int rows() {
      return shape.getFirst().intValue();
    }

    int columns() {
      return shape.getLast().intValue();
    }
  }

  private final Random random;
  private final ElementType type;
  private final Map<String, Base> base = new TreeMap<>();

  /** What becomes of base tensors: the difference, or the whole where outputs are multiplied. */
  private final Map<String, double[]> changes = new LinkedHashMap<>();

  private final SafetensorsWriter tensors = new SafetensorsWriter();
  private final Map<String, Object> config = new LinkedHashMap<>();
  private final Set<String> targets = new TreeSet<>();
  private final Set<String> kinds = new TreeSet<>();
  private boolean scales;

  KindAdapter(Path model, Random random, ElementType type) {
    this.random = random;
    this.type = type;
    try (Arena arena = Arena.ofConfined()) {
      for (Map.Entry<String, StoredTensor> entry : WeightFiles.map(model, arena).entrySet()) {
        StoredTensor tensor = entry.getValue();
        ElementType stored = ElementType.valueOf(tensor.type().name());
        double[] values = new double[(int) (tensor.bytes().byteSize() / stored.bytes())];
        for (int i = 0; i < values.length; i++) {
          values[i] = stored.read(tensor.bytes(), (long) i * stored.bytes());
        }
        base.put(entry.getKey(), new Base(tensor.shape(), values));
      }
    }
    config.put("peft_type", "LORA");
    config.put("r", 1 + random.nextInt(9));
    config.put("lora_alpha", 1 + random.nextInt(16));
  }

  private int rank() {
    return (int) Objects.requireNonNull(config.get("r"));
  }

  private double scaling() {
    return (float) ((int) Objects.requireNonNull(config.get("lora_alpha")) / (double) rank());
  }

  @Override
  public String toString() {
    return kinds + " in " + type;
  }

  boolean scalesOutputs() {
    return scales;
  }

  /** Returns the linear modules of the base model's layers. */
  List<String> modules() {
    List<String> modules = new ArrayList<>();
    for (String name : base.keySet()) {
      if (name.startsWith("model.layers.") && name.endsWith("_proj.weight")) {
        modules.add(name.substring(0, name.length() - ".weight".length()));
      }
    }
    return modules;
  }

  private Base weight(String module) {
    return Objects.requireNonNull(base.get(module + ".weight"), module);
  }

  /** Adds a tensor of random values and returns them as they are stored. */
  private double[] tensor(String name, List<Long> shape, double deviation, double mean) {
    int count =
        Math.toIntExact(shape.stream().mapToLong(Long::longValue).reduce(1, (a, b) -> a * b));
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = type.round((float) (mean + deviation * random.nextGaussian()));
    }
    return tensor(name, shape, values);
  }

  private double[] tensor(String name, List<Long> shape, float[] values) {
    tensors.add(
        "base_model.model." + name,
        StoredType.of(type),
        shape,
        output -> {
          for (float value : values) {
            switch (type) {
              case F32 -> output.writeFloat(value);
              case F16 -> output.writeShort(Float.floatToFloat16(value));
              case BF16 -> output.writeShort((short) (Float.floatToRawIntBits(value) >>> 16));
            }
          }
        });
    double[] stored = new double[values.length];
    for (int i = 0; i < stored.length; i++) {
      stored[i] = values[i];
    }
    return stored;
  }

  /** Adds LoRA to a module of a layer or the output layer, and returns B A times the scaling. */
  KindAdapter lora(String module) {
    kinds.add("lora");
    Base weight = weight(module);
    long rank = rank();
    double[] a =
        tensor(
            module + ".lora_A.weight",
            List.of(rank, (long) weight.columns()),
            1 / Math.sqrt(weight.columns()),
            0);
    double[] b = tensor(module + ".lora_B.weight", List.of((long) weight.rows(), rank), 0.3, 0);
    add(module + ".weight", product(weight, a, b));
    targets.add(module.substring(module.lastIndexOf('.') + 1));
    return this;
  }

  private double[] product(Base weight, double[] a, double[] b) {
    int rank = rank();
    double[] product = new double[weight.values().length];
    for (int o = 0; o < weight.rows(); o++) {
      for (int r = 0; r < rank; r++) {
        double factor = scaling() * b[o * rank + r];
        for (int i = 0; i < weight.columns(); i++) {
          product[o * weight.columns() + i] += factor * a[r * weight.columns() + i];
        }
      }
    }
    return product;
  }

  private void add(String tensor, double[] difference) {
    double[] sum = changes.computeIfAbsent(tensor, t -> new double[difference.length]);
    for (int i = 0; i < sum.length; i++) {
      sum[i] += difference[i];
    }
  }

  /** Multiplies the rows of modules that have LoRA so that their norms become random (DoRA). */
  KindAdapter dora() {
    kinds.add("dora");
    config.put("use_dora", true);
    scales = true;
    for (String module : modules()) {
      if (changes.containsKey(module + ".weight")) {
        Base weight = weight(module);
        double[] change = Objects.requireNonNull(changes.get(module + ".weight"));
        double[] magnitude =
            tensor(module + ".lora_magnitude_vector", List.of((long) weight.rows()), 0.2, 1);
        for (int o = 0; o < weight.rows(); o++) {
          double square = 0;
          for (int i = o * weight.columns(); i < (o + 1) * weight.columns(); i++) {
            double w = weight.values()[i] + change[i];
            square += w * w;
          }
          double gain = magnitude[o] / Math.sqrt(square);
          for (int i = o * weight.columns(); i < (o + 1) * weight.columns(); i++) {
            change[i] = gain * (weight.values()[i] + change[i]) - weight.values()[i];
          }
        }
      }
    }
    return this;
  }

  /** Replaces the bias of a module. */
  KindAdapter bias(String module) {
    kinds.add("bias");
    config.put("bias", "lora_only");
    Base weight = weight(module);
    String infix = random.nextBoolean() ? ".base_layer.bias" : ".bias";
    double[] bias = tensor(module + infix, List.of((long) weight.rows()), 0.3, 0);
    Base own = base.get(module + ".bias");
    for (int o = 0; own != null && o < bias.length; o++) {
      bias[o] -= own.values()[o];
    }
    add(module + ".bias", bias);
    return this;
  }

  /** Adds a bias to the factor B of a module. */
  KindAdapter shift(String module) {
    kinds.add("shift");
    config.put("lora_bias", true);
    Base weight = weight(module);
    double[] bias = tensor(module + ".lora_B.bias", List.of((long) weight.rows()), 0.3, 0);
    for (int o = 0; o < bias.length; o++) {
      bias[o] *= scaling();
    }
    add(module + ".bias", bias);
    return this;
  }

  /** Adds LoRA to the embeddings. */
  KindAdapter embedding() {
    kinds.add("embedding");
    Base table = weight(EMBEDDING);
    long rank = rank();
    double[] a =
        tensor(EMBEDDING + ".lora_embedding_A", List.of(rank, (long) table.rows()), 0.5, 0);
    double[] b =
        tensor(EMBEDDING + ".lora_embedding_B", List.of((long) table.columns(), rank), 0.3, 0);
    double[] change = new double[table.values().length];
    for (int v = 0; v < table.rows(); v++) {
      for (int i = 0; i < table.columns(); i++) {
        for (int r = 0; r < rank; r++) {
          change[v * table.columns() + i] +=
              scaling() * b[i * (int) rank + r] * a[r * table.rows() + v];
        }
      }
    }
    untie();
    add(EMBEDDING + ".weight", change);
    targets.add("embed_tokens");
    return this;
  }

  /** LoRA on the output layer. */
  KindAdapter output() {
    kinds.add("output");
    untie();
    return lora(OUTPUT);
  }

  /** Trains the whole embeddings or output matrix, or copies it as it is. */
  KindAdapter saved(boolean ofOutput, boolean copied) {
    kinds.add((copied ? "copied " : "saved ") + (ofOutput ? OUTPUT : EMBEDDING));
    untie();
    String module = ofOutput ? OUTPUT : EMBEDDING;
    Base weight = weight(module);
    float[] values = new float[weight.values().length];
    for (int i = 0; i < values.length; i++) {
      double value = weight.values()[i] + (copied ? 0 : 0.1 * random.nextGaussian());
      values[i] = copied ? (float) value : type.round((float) value);
    }
    if (copied) {
      tensors.add(
          "base_model.model." + module + (random.nextBoolean() ? ".base_layer" : "") + ".weight",
          weight.shape(),
          values);
      return this;
    }
    double[] stored = tensor(module + ".weight", weight.shape(), values);
    for (int i = 0; i < stored.length; i++) {
      stored[i] -= weight.values()[i];
    }
    add(module + ".weight", stored);
    @SuppressWarnings("unchecked")
    List<String> saved =
        (List<String>) config.computeIfAbsent("modules_to_save", k -> new ArrayList<String>());
    saved.add(module.substring(module.lastIndexOf('.') + 1));
    return this;
  }

  /** Trains the rows of some tokens, given in any order; of a tied model in both places. */
  KindAdapter tokens(boolean tied, List<Integer> ids) {
    kinds.add("tokens");
    config.put("trainable_token_indices", ids);
    Base table = weight(EMBEDDING);
    double[] rows =
        tensor(
            EMBEDDING + ".token_adapter.trainable_tokens_delta",
            List.of((long) ids.size(), (long) table.columns()),
            tied ? 0.1 : 1,
            0);
    double[] change = new double[table.values().length];
    for (int t = 0; t < ids.size(); t++) {
      for (int i = 0; i < table.columns(); i++) {
        int at = ids.get(t) * table.columns() + i;
        change[at] = rows[t * table.columns() + i] - table.values()[at];
      }
    }
    add(EMBEDDING + ".weight", change);
    if (tied) {
      untie();
      add(OUTPUT + ".weight", change);
    }
    return this;
  }

  /** Multiplies outputs of modules, or the input of down-projections (IA3). */
  KindAdapter ia3(List<String> modules) {
    kinds.add("ia3");
    config.clear();
    config.put("peft_type", "IA3");
    config.put("feedforward_modules", List.of("down_proj"));
    scales = true;
    for (String module : modules) {
      Base weight = weight(module);
      boolean input = module.endsWith("down_proj");
      long width = input ? weight.columns() : weight.rows();
      double[] vector =
          tensor(module + ".ia3_l", input ? List.of(1L, width) : List.of(width, 1L), 0.2, 1);
      double[] change = new double[weight.values().length];
      for (int i = 0; i < change.length; i++) {
        double factor = vector[input ? i % weight.columns() : i / weight.columns()];
        change[i] = (factor - 1) * weight.values()[i];
      }
      add(module + ".weight", change);
      Base bias = base.get(module + ".bias");
      if (bias != null && !input) {
        double[] ofBias = bias.values().clone();
        for (int o = 0; o < ofBias.length; o++) {
          ofBias[o] *= vector[o] - 1;
        }
        add(module + ".bias", ofBias);
      }
      targets.add(module.substring(module.lastIndexOf('.') + 1));
    }
    return this;
  }

  private void untie() {
    base.computeIfAbsent(OUTPUT + ".weight", t -> weight(EMBEDDING));
  }

  /** Writes the adapter and returns its directory. */
  Path write(Path directory) throws IOException {
    Files.createDirectories(directory);
    config.put("target_modules", List.copyOf(targets));
    Files.write(directory.resolve("adapter_config.json"), JSON.writeValueAsBytes(config));
    tensors.write(directory.resolve("adapter_model.safetensors"));
    return directory;
  }

  /**
   * Writes a model into which adapters are merged with their weights.
   *
   * @param model the base model
   */
  static Path merge(Path model, Map<KindAdapter, Double> adapters, Path directory)
      throws IOException {
    Files.createDirectories(directory);
    Map<String, Base> merged = new TreeMap<>();
    Map<String, double[]> sums = new HashMap<>();
    adapters.forEach(
        (adapter, factor) -> {
          merged.putAll(adapter.base);
          adapter.changes.forEach(
              (name, change) -> {
                double[] sum = sums.computeIfAbsent(name, n -> new double[change.length]);
                for (int i = 0; i < sum.length; i++) {
                  sum[i] += factor * change[i];
                }
              });
        });
    sums.forEach(
        (name, change) -> {
          Base own = merged.getOrDefault(name, new Base(List.of((long) change.length), change));
          double[] values = new double[change.length];
          for (int i = 0; i < values.length; i++) {
            values[i] = change[i] + (merged.containsKey(name) ? own.values()[i] : 0);
          }
          merged.put(name, new Base(own.shape(), values));
        });
    for (String name : List.copyOf(merged.keySet())) {
      if (name.endsWith("_proj.weight")) {
        long rows = Objects.requireNonNull(merged.get(name)).rows();
        merged.putIfAbsent(
            name.substring(0, name.length() - "weight".length()) + "bias",
            new Base(List.of(rows), new double[(int) rows]));
      }
    }
    SafetensorsWriter writer = new SafetensorsWriter();
    merged.forEach(
        (name, tensor) -> {
          float[] values = new float[tensor.values().length];
          for (int i = 0; i < values.length; i++) {
            values[i] = (float) tensor.values()[i];
          }
          writer.add(name, tensor.shape(), values);
        });
    writer.write(directory.resolve("model.safetensors"));
    try (var files = Files.list(model)) {
      for (Path file : files.filter(f -> f.toString().contains("token")).toList()) {
        Files.copy(file, directory.resolve(file.getFileName()));
      }
    }
    @SuppressWarnings("unchecked")
    Map<String, Object> config =
        JSON.readValue(model.resolve("config.json").toFile(), LinkedHashMap.class);
    config.put("tie_word_embeddings", !merged.containsKey(OUTPUT + ".weight"));
    if ("llama".equals(config.get("model_type"))) {
      config.put("attention_bias", true);
      config.put("mlp_bias", true);
    }
    Files.write(directory.resolve("config.json"), JSON.writeValueAsBytes(config));
    return directory;
  }
}
