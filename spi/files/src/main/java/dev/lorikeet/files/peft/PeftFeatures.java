package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * Which keys of {@code adapter_config.json} are read, which do not matter here, and which stand for
 * features that are refused by name. Keys of none of the three are left out with a warning, as PEFT
 * leaves them out. As of PEFT 0.20, with what forks of it write.
 */
final class PeftFeatures {
  /** Read by {@link PeftConfigReader}. */
  private static final Set<String> READ =
      Set.of(
          "peft_type",
          "r",
          "lora_alpha",
          "use_rslora",
          "rank_pattern",
          "alpha_pattern",
          "target_modules",
          "exclude_modules",
          "layers_to_transform",
          "layers_pattern",
          "use_bdlora",
          "bias",
          "init_lora_weights",
          "lora_bias", // the weights tell
          "modules_to_save",
          "target_parameters",
          "trainable_token_indices",
          "feedforward_modules", // IA3
          "save_projection", // VeRA
          "use_dora");

  /** About training, its start, or where files came from; the saved weights hold all of it. */
  private static final Set<String> HARMLESS =
      Set.of(
          "auto_mapping",
          "base_model_name_or_path",
          "corda_config", // how A and B were first set; init_lora_weights tells whether it was used
          "d_initial", // how VeRA's vectors were first set
          "eva_config", // how A was first set
          "fan_in_fan_out", // how the base model stores its weight; A and B are stored the same way
          "inference_mode",
          "init_ia3_weights",
          "init_weights", // VeRA's
          "loftq_config", // ignored by PEFT unless init_lora_weights is loftq
          "lora_dropout",
          "lora_ga_config", // how A and B were first set
          "megatron_core", // the name of a module that is imported only with megatron_config
          "merge_weights", // of PEFT before 0.3
          "peft_version",
          "projection_prng_key", // VeRA's projections are in the file
          "qalora_group_size", // used only with use_qalora
          "revision",
          "runtime_config",
          "task_type",
          "unsloth_fixed",
          "vera_dropout");

  static final String DORA = "use_dora";

  /** Refused by name. */
  private static final Map<String, String> REFUSED =
      Map.ofEntries(
          Map.entry("alora_invocation_tokens", "activated LoRA (aLoRA)"),
          Map.entry("arrow_config", "Arrow routing of PEFT"),
          Map.entry("ensure_weight_tying", "one adapter of embeddings and output layer"),
          Map.entry("enable_lora", "LoRA on parts of a fused projection"),
          Map.entry("kasa_config", "KaSA"),
          Map.entry("layer_replication", "layer replication"),
          Map.entry("lora_nums", "several B for one A (HydraLoRA)"),
          Map.entry("megatron_config", "Megatron parallel layers"),
          Map.entry("monteclora_config", "MonteCLoRA"),
          Map.entry("use_mora", "MoRA"),
          Map.entry("use_qalora", "QALoRA"),
          Map.entry("velora_config", "VeLoRA"));

  /**
   * Ways to start A and B that leave the base weights alone. The others (PiSSA, OLoRA, CorDA,
   * LoRA-GA, LoftQ) take the start out of the base weights, so that an adapter saved as it was
   * trained fits a changed base model only; PEFT converts it when it is saved with {@code
   * path_initial_model_for_weight_conversion}, and then writes {@code true} here.
   */
  private static final Set<String> BASE_UNCHANGED = Set.of("eva", "gaussian", "mica", "orthogonal");

  private static final Set<String> BIASES = Set.of("none", "all", "lora_only");

  private static final System.Logger LOG = System.getLogger(PeftFeatures.class.getName());

  private PeftFeatures() {}

  /** Refuses a configuration that asks for more than is supported. */
  static void check(Path file, JsonNode config) {
    JsonNode type = config.path("peft_type");
    if (!type.isTextual()) {
      throw Faults.ADAPTER.refuse(file, "peft_type: expected LORA, found " + describe(type));
    }
    if (Arrays.stream(PeftConfig.Method.values()).noneMatch(m -> m.name().equals(type.asText()))) {
      throw Faults.ADAPTER.refuseUnsupported(
          file,
          "peft_type: expected LORA, VERA or IA3, found '" + Faults.show(type.asText()) + "'");
    }
    Set<String> unknown = new TreeSet<>();
    for (Map.Entry<String, JsonNode> property : config.properties()) {
      String key = property.getKey();
      JsonNode value = property.getValue();
      if (READ.contains(key) || HARMLESS.contains(key) || saysNothing(value)) {
        continue;
      }
      String feature = REFUSED.get(key);
      if (feature != null) {
        throw Faults.ADAPTER.refuseUnsupported(file, key + ": " + feature + " is not supported");
      }
      unknown.add(key);
    }
    if (!unknown.isEmpty()) {
      LOG.log(
          Level.WARNING,
          "{0}: keys that are not known here are ignored: {1}",
          file,
          Faults.show(String.join(", ", unknown)));
    }
    checkBias(file, config.path("bias"));
    JsonNode init = config.path("init_lora_weights");
    if (init.isTextual() && !BASE_UNCHANGED.contains(init.asText())) {
      throw Faults.ADAPTER.refuseUnsupported(
          file,
          "init_lora_weights: '"
              + Faults.show(init.asText())
              + "' changes the base model's weights; save the adapter with"
              + " path_initial_model_for_weight_conversion");
    }
  }

  /** Trained biases are tensors; the key alone changes nothing. */
  private static void checkBias(Path file, JsonNode bias) {
    if (!saysNothing(bias) && !BIASES.contains(bias.asText())) {
      throw Faults.ADAPTER.refuse(
          file, "bias: expected 'none', 'all' or 'lora_only', found " + describe(bias));
    }
  }

  /** Returns whether a value is as good as none: absent, null, false or empty. */
  static boolean saysNothing(JsonNode value) {
    return value.isMissingNode()
        || value.isNull()
        || (value.isBoolean() && !value.booleanValue())
        || (value.isTextual() && value.asText().isEmpty())
        || (value.isContainerNode() && value.isEmpty());
  }

  /** Returns a value fit for a message. */
  static String describe(JsonNode value) {
    return value.isMissingNode() ? "nothing" : Faults.show(value.toString());
  }
}
