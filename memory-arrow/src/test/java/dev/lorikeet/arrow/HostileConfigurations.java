package dev.lorikeet.arrow;

import static dev.lorikeet.LorikeetException.Code.ADAPTER_INVALID;
import static dev.lorikeet.LorikeetException.Code.ADAPTER_UNSUPPORTED;
import static dev.lorikeet.arrow.HostileCase.CONFIG;
import static dev.lorikeet.arrow.HostileCase.config;
import static dev.lorikeet.arrow.HostileCase.configText;

import java.util.ArrayList;
import java.util.List;

/** Configurations that are damaged, or ask for what is not supported. */
final class HostileConfigurations {
  private HostileConfigurations() {}

  static List<HostileCase> cases() {
    List<HostileCase> cases = new ArrayList<>();
    for (String key : List.of("alora_invocation_tokens", "layer_replication")) {
      cases.add(config(ADAPTER_UNSUPPORTED, key, "[1]", key));
    }
    for (String key : List.of("modules_to_save", "target_parameters")) {
      cases.add(config(ADAPTER_INVALID, key, "[1]", key + ": expected a list of names"));
    }
    for (String tokens : List.of("[-1]", "[\"a\"]", "{\"lm_head\":7}", "7", "[1,1]")) {
      cases.add(
          config(ADAPTER_INVALID, "trainable_token_indices", tokens, "trainable_token_indices"));
    }
    cases.add(config(ADAPTER_INVALID, "use_dora", "true", "lora_magnitude_vector", "use_dora"));
    for (String key : List.of("use_mora", "use_qalora", "ensure_weight_tying")) {
      cases.add(config(ADAPTER_UNSUPPORTED, key, "true", key));
    }
    for (String key :
        List.of(
            "megatron_config",
            "arrow_config",
            "velora_config",
            "monteclora_config",
            "kasa_config")) {
      cases.add(config(ADAPTER_UNSUPPORTED, key, "{\"x\":1}", key));
    }
    cases.add(config(ADAPTER_INVALID, "bias", "\"some\"", "bias", "lora_only"));
    cases.add(config(ADAPTER_UNSUPPORTED, "lora_nums", "3", "lora_nums"));
    cases.add(config(ADAPTER_UNSUPPORTED, "peft_type", "\"OFT\"", "peft_type", "OFT"));
    for (String init : List.of("pissa", "pissa_niter_16", "olora", "corda", "lora_ga", "loftq")) {
      cases.add(
          config(
              ADAPTER_UNSUPPORTED,
              "init_lora_weights",
              "\"" + init + "\"",
              "init_lora_weights",
              init));
    }
    cases.add(config(ADAPTER_UNSUPPORTED, "target_modules", "\"(?<=x)q_proj\"", "target_modules"));
    cases.add(config(ADAPTER_UNSUPPORTED, "target_modules", "\"(q)\\\\1\"", "target_modules"));
    cases.add(config(ADAPTER_INVALID, "peft_type", "null", "peft_type"));
    for (String rank :
        List.of("0", "-1", "4097", "1e3", "4.0", "\"4\"", "null", "99999999999999")) {
      cases.add(config(ADAPTER_INVALID, "r", rank, "r: expected", "1 to 4096"));
    }
    for (String alpha :
        List.of("0", "-16", "1e999", "\"16\"", "null", "[16]", "1" + "0".repeat(90))) {
      cases.add(config(ADAPTER_INVALID, "lora_alpha", alpha, "lora_alpha: expected"));
    }
    cases.add(config(ADAPTER_INVALID, "r", "8", "q_proj.lora_A.weight", "[8, 24]", "[4, 24]"));
    cases.add(config(ADAPTER_INVALID, "use_rslora", "1", "use_rslora"));
    for (String targets : List.of("null", "[]", "7", "{}", "[1]", "[\"\"]", "[null]", "\"\"")) {
      cases.add(config(ADAPTER_INVALID, "target_modules", targets, "target_modules: expected"));
    }
    cases.add(config(ADAPTER_INVALID, "target_modules", "\"(q_proj\"", "target_modules"));
    cases.add(config(ADAPTER_INVALID, "target_modules", "[\"q_proj\"]", "down_proj", "leave out"));
    cases.add(
        config(
            ADAPTER_INVALID,
            "target_modules",
            "\"" + "(a*)*".repeat(700) + "b\"",
            "target_modules"));
    cases.add(config(ADAPTER_INVALID, "exclude_modules", "[\"q_proj\"]", "q_proj", "leave out"));
    cases.add(config(ADAPTER_INVALID, "exclude_modules", "4", "exclude_modules: expected"));
    cases.add(config(ADAPTER_INVALID, "layers_to_transform", "1", "layers.0", "leave out"));
    cases.add(config(ADAPTER_INVALID, "layers_to_transform", "[0,-1]", "layers_to_transform: exp"));
    cases.add(config(ADAPTER_INVALID, "layers_to_transform", "\"1\"", "layers_to_transform: exp"));
    cases.add(config(ADAPTER_INVALID, "rank_pattern", "{\"q_proj\":0}", "rank_pattern['q_proj']"));
    cases.add(config(ADAPTER_INVALID, "rank_pattern", "{\"q_proj\":2}", "[2, 24]", "[4, 24]"));
    cases.add(config(ADAPTER_INVALID, "rank_pattern", "{\"q(\":2}", "rank_pattern['q(']"));
    cases.add(config(ADAPTER_INVALID, "rank_pattern", "[2]", "rank_pattern: expected"));
    cases.add(
        config(ADAPTER_INVALID, "alpha_pattern", "{\"q_proj\":-2.5}", "alpha_pattern['q_proj']"));
    cases.add(config(ADAPTER_INVALID, "lora_alpha", "1e300", "lora_alpha", "scaling"));
    cases.add(config(ADAPTER_INVALID, "use_bdlora", "{\"nblocks\":2}", "neither"));
    cases.add(config(ADAPTER_UNSUPPORTED, "use_bdlora", "{\"shape\":2}", "use_bdlora", "shape"));
    cases.add(
        config(
            ADAPTER_INVALID,
            "use_bdlora",
            "{\"nblocks\":2,\"target_modules_bd_a\":[\"proj\"],\"target_modules_bd_b\":[\"q\"]}",
            "q_proj",
            "both"));
    cases.add(
        config(
            ADAPTER_INVALID,
            "use_bdlora",
            "{\"nblocks\":3,\"target_modules_bd_a\":[\"q\"],\"match_strict\":false}",
            "nblocks",
            "found 3"));
    cases.add(config(ADAPTER_INVALID, "use_bdlora", "true", "use_bdlora: expected an object"));
    cases.add(configText("configuration that is no JSON", "peft", CONFIG, "JSON"));
    cases.add(configText("configuration that is a list", "[]", CONFIG, "object"));
    cases.add(configText("configuration that is empty", "", CONFIG));
    cases.add(configText("configuration cut short", "{\"peft_type\": \"LOR", CONFIG, "JSON"));
    cases.add(configText("configuration with a rest", "{} {}", CONFIG, "JSON"));
    cases.add(configText("configuration with a key twice", "{\"r\":4,\"r\":8}", CONFIG, "'r'"));
    cases.add(configText("configuration with NaN", "{\"lora_alpha\": NaN}", CONFIG, "NaN"));
    cases.add(configText("configuration not UTF-8", "{\"r\u00e4\": 1}", CONFIG, "UTF-8"));
    cases.add(
        configText("configuration nested deep", "{\"x\":" + "[".repeat(100_000), CONFIG, "depth"));
    cases.add(configText("configuration too large", "{}" + " ".repeat(1 << 20), CONFIG));
    return cases;
  }
}
