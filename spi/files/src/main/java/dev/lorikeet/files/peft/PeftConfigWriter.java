package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.shape.Projection;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Writes {@code adapter_config.json}. A scaling is kept to the last bit: {@code lora_alpha} is the
 * scaling times the rank, which a double holds exactly, and dividing it by the rank gives the
 * scaling again. The rank and the alpha of most modules are the adapter's; patterns tell the
 * others'.
 */
final class PeftConfigWriter {
  private final List<LoraWeights> weights;
  private final int layers;

  private PeftConfigWriter(List<LoraWeights> weights, int layers) {
    this.weights = weights;
    this.layers = layers;
  }

  /**
   * Returns the configuration.
   *
   * @param layers the number of the base model's layers
   */
  static String json(List<LoraWeights> weights, int layers, Optional<String> baseModel) {
    return new PeftConfigWriter(weights, layers).config(baseModel).toPrettyString() + "\n";
  }

  private ObjectNode config(Optional<String> baseModel) {
    int rank = most(LoraWeights::rank);
    double alpha = most(PeftConfigWriter::alpha);
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("peft_type", "LORA");
    config.put("task_type", "CAUSAL_LM");
    baseModel.ifPresentOrElse(
        name -> config.put("base_model_name_or_path", name),
        () -> config.putNull("base_model_name_or_path"));
    config.put("r", rank);
    number(config, "lora_alpha", alpha);
    config.put("use_rslora", false);
    config.put(PeftFeatures.DORA, weights.getFirst().magnitude().isPresent());
    config.set("target_modules", names(targetModules()));
    ObjectNode ranks = config.putObject("rank_pattern");
    differing(LoraWeights::rank, rank).forEach(ranks::put);
    ObjectNode alphas = config.putObject("alpha_pattern");
    differing(PeftConfigWriter::alpha, alpha).forEach((key, value) -> number(alphas, key, value));
    blockDiagonal(config);
    config.put("bias", "none");
    config.put("lora_dropout", 0.0);
    config.put("fan_in_fan_out", false);
    config.put("init_lora_weights", true);
    config.put("inference_mode", true);
    config.putNull("modules_to_save");
    return config;
  }

  private static double alpha(LoraWeights module) {
    if (!(module.scaling() > 0)) {
      throw new IllegalArgumentException(
          module.target() + ": expected a scaling above 0, found " + module.scaling());
    }
    return (double) module.scaling() * module.rank();
  }

  /** Puts a number, as an integer where it is one, as people write it. */
  private static void number(ObjectNode node, String key, double value) {
    if (value == Math.rint(value) && value <= Integer.MAX_VALUE) {
      node.put(key, (int) value);
    } else {
      node.put(key, value);
    }
  }

  /** Returns the value of most modules, the first of several. */
  private <T> T most(Function<LoraWeights, T> value) {
    Map<T, Long> counts =
        weights.stream()
            .collect(Collectors.groupingBy(value, LinkedHashMap::new, Collectors.counting()));
    long largest = counts.values().stream().mapToLong(count -> count).max().orElseThrow();
    return counts.entrySet().stream()
        .filter(entry -> entry.getValue() == largest)
        .map(Map.Entry::getKey)
        .findFirst()
        .orElseThrow();
  }

  /** Names projections where all layers have the same, else every single module. */
  private Collection<String> targetModules() {
    Map<Projection, Long> counts =
        weights.stream()
            .collect(
                Collectors.groupingBy(
                    module -> module.target().projection(), Collectors.counting()));
    boolean everywhere = counts.values().stream().allMatch(count -> count == layers);
    return weights.stream()
        .map(module -> everywhere ? projectionName(module) : module.target().moduleName())
        .collect(Collectors.toCollection(TreeSet::new));
  }

  /** Returns pattern and value of the modules whose value is not the adapter's. */
  private <T> Map<String, T> differing(Function<LoraWeights, T> value, T usual) {
    Map<String, T> patterns = new TreeMap<>();
    byProjection()
        .forEach(
            (name, modules) -> {
              if (modules.stream().map(value).distinct().count() == 1) {
                patterns.put(name, value.apply(modules.getFirst()));
              } else {
                modules.forEach(module -> patterns.put(layerName(module), value.apply(module)));
              }
            });
    patterns.values().removeIf(usual::equals);
    return patterns;
  }

  private void blockDiagonal(ObjectNode config) {
    List<LoraWeights> diagonal =
        weights.stream().filter(module -> aBlocks(module) > 1 || bBlocks(module) > 1).toList();
    if (diagonal.isEmpty()) {
      return;
    }
    int blocks = Math.max(aBlocks(diagonal.getFirst()), bBlocks(diagonal.getFirst()));
    for (LoraWeights module : diagonal) {
      if (aBlocks(module) * bBlocks(module) != blocks
          || Math.max(aBlocks(module), bBlocks(module)) != blocks) {
        throw new IllegalArgumentException(
            module.target()
                + ": expected one block-diagonal factor of "
                + blocks
                + " blocks as the others have, found A in "
                + aBlocks(module)
                + " and B in "
                + bBlocks(module)
                + " blocks");
      }
    }
    ObjectNode node = config.putObject("use_bdlora");
    node.set("target_modules_bd_a", names(blocked(PeftConfigWriter::aBlocks)));
    node.set("target_modules_bd_b", names(blocked(PeftConfigWriter::bBlocks)));
    node.put("nblocks", blocks);
    node.put("match_strict", diagonal.size() == weights.size());
  }

  /** Returns parts of names that only modules have whose factor is block-diagonal. */
  private Collection<String> blocked(Function<LoraWeights, Integer> blocks) {
    TreeSet<String> parts = new TreeSet<>();
    byProjection()
        .forEach(
            (name, modules) -> {
              if (modules.stream().allMatch(module -> blocks.apply(module) > 1)) {
                parts.add(name);
              } else {
                modules.stream()
                    .filter(module -> blocks.apply(module) > 1)
                    .forEach(module -> parts.add(layerName(module)));
              }
            });
    return parts;
  }

  private Map<String, List<LoraWeights>> byProjection() {
    return weights.stream()
        .collect(
            Collectors.groupingBy(
                PeftConfigWriter::projectionName, TreeMap::new, Collectors.toList()));
  }

  private static int aBlocks(LoraWeights module) {
    return module.a().blocks();
  }

  private static int bBlocks(LoraWeights module) {
    return module.b().blocks();
  }

  private static String projectionName(LoraWeights module) {
    return module.target().projection().moduleName();
  }

  private static String layerName(LoraWeights module) {
    return "layers." + module.target().layer() + "." + module.target().projection().path();
  }

  private static ArrayNode names(Collection<String> names) {
    ArrayNode list = JsonNodeFactory.instance.arrayNode();
    names.forEach(list::add);
    return list;
  }
}
