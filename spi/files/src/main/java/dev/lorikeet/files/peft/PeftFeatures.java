package dev.lorikeet.files.peft;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.safetensors.SafetensorsHeader;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.List;
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
          "init_lora_weights");

  /** About training, its start, or where files came from; the saved weights hold all of it. */
  private static final Set<String> HARMLESS =
      Set.of(
          "auto_mapping",
          "base_model_name_or_path",
          "corda_config", // how A and B were first set; init_lora_weights tells whether it was used
          "ensure_weight_tying", // concerns embeddings, which are refused on their own
          "eva_config", // how A was first set
          "fan_in_fan_out", // how the base model stores its weight; A and B are stored the same way
          "inference_mode",
          "loftq_config", // ignored by PEFT unless init_lora_weights is loftq
          "lora_dropout",
          "lora_ga_config", // how A and B were first set
          "megatron_core", // the name of a module that is imported only with megatron_config
          "merge_weights", // of PEFT before 0.3
          "peft_version",
          "qalora_group_size", // used only with use_qalora
          "revision",
          "runtime_config",
          "task_type",
          "unsloth_fixed");

  static final String DORA = "use_dora";
  static final String MAGNITUDE = "lora_magnitude_vector";

  /** Refused by name. */
  private static final Map<String, String> REFUSED =
      Map.ofEntries(
          Map.entry("alora_invocation_tokens", "activated LoRA (aLoRA)"),
          Map.entry("arrow_config", "Arrow routing of PEFT"),
          Map.entry("enable_lora", "LoRA on parts of a fused projection"),
          Map.entry("kasa_config", "KaSA"),
          Map.entry("layer_replication", "layer replication"),
          Map.entry("lora_bias", "biases of LoRA layers"),
          Map.entry("lora_nums", "several B for one A (HydraLoRA)"),
          Map.entry("megatron_config", "Megatron parallel layers"),
          Map.entry("modules_to_save", "modules trained in full"),
          Map.entry("monteclora_config", "MonteCLoRA"),
          Map.entry("target_parameters", "LoRA on single parameters"),
          Map.entry("trainable_token_indices", "trained token embeddings"),
          Map.entry(DORA, "DoRA"),
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

  private static final Set<String> BIASES = Set.of("all", "lora_only");

  private static final System.Logger LOG = System.getLogger(PeftFeatures.class.getName());

  private PeftFeatures() {}

  /**
   * Refuses a configuration that asks for more than is supported.
   *
   * @param dora whether whoever reads it knows what to do with magnitudes
   */
  static void check(Path file, JsonNode config, boolean dora) {
    JsonNode type = config.path("peft_type");
    if (!type.isTextual()) {
      throw Faults.ADAPTER.refuse(file, "peft_type: expected LORA, found " + describe(type));
    }
    if (!type.asText().equals("LORA")) {
      throw Faults.ADAPTER.refuseUnsupported(
          file, "peft_type: expected LORA, found '" + Faults.show(type.asText()) + "'");
    }
    Set<String> unknown = new TreeSet<>();
    for (Map.Entry<String, JsonNode> property : config.properties()) {
      String key = property.getKey();
      JsonNode value = property.getValue();
      if (READ.contains(key)
          || HARMLESS.contains(key)
          || saysNothing(value)
          || (dora && key.equals(DORA))) {
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

  /**
   * Trained biases are tensors, which are refused where they are; the key alone changes nothing.
   */
  private static void checkBias(Path file, JsonNode bias) {
    if (saysNothing(bias) || bias.asText().equals("none")) {
      return;
    }
    if (!BIASES.contains(bias.asText())) {
      throw Faults.ADAPTER.refuse(
          file, "bias: expected 'none', 'all' or 'lora_only', found " + describe(bias));
    }
    LOG.log(
        Level.WARNING,
        "{0}: bias is ''{1}''; it is ignored unless the weights have biases",
        file,
        bias.asText());
  }

  /** Refuses tensors that belong to a feature that is not supported. */
  static void checkTensor(Path file, String name, boolean dora) {
    if (dora && name.contains(MAGNITUDE)) {
      return;
    }
    for (var part :
        List.of(
            Map.entry(MAGNITUDE, "DoRA (lora_magnitude_vector)"),
            Map.entry("lora_embedding_", "LoRA on embeddings (lora_embedding_A and _B)"),
            Map.entry("embed_tokens", "embeddings (embed_tokens)"),
            Map.entry("lm_head", "the output layer (lm_head)"),
            Map.entry("modules_to_save", "modules trained in full (modules_to_save)"),
            Map.entry("trainable_tokens", "trained token embeddings (trainable_tokens)"),
            Map.entry("bias", "biases"))) {
      if (name.contains(part.getKey())) {
        throw Faults.ADAPTER.refuseUnsupported(
            file, SafetensorsHeader.tensor(name) + ": " + part.getValue() + " are not supported");
      }
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
