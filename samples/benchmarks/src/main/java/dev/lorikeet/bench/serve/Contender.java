package dev.lorikeet.bench.serve;

import java.util.List;
import java.util.Map;

/** Who is measured, and the settings to try for each. */
enum Contender {
  LORIKEET,
  /** Lorikeet with a planner that may merge; measured where all sequences share one adapter. */
  LORIKEET_AUTO,
  JLAMA,
  LLAMA_CPP;

  /**
   * Returns the settings to try: for Lorikeet, weights as the system's page cache has them, or
   * copied into huge pages; for Jlama, products on activations in float32 or as wide as the
   * weights; for llama.cpp, both element types that hold the weights, with and without fused
   * attention.
   */
  List<Map<String, String>> candidates() {
    return switch (this) {
      case LORIKEET -> List.of(Map.of("weights", "copied"), Map.of("weights", "mapped"));
      case LORIKEET_AUTO ->
          List.of(
              Map.of("weights", "copied", "switching", "auto"),
              Map.of("weights", "mapped", "switching", "auto"));
      case JLAMA -> List.of(Map.of("products", "F32"), Map.of("products", "BF16"));
      case LLAMA_CPP ->
          List.of(
              Map.of("weights", "f16", "flash", "false"),
              Map.of("weights", "f16", "flash", "true"),
              Map.of("weights", "bf16", "flash", "false"),
              Map.of("weights", "bf16", "flash", "true"));
    };
  }

  /** Opens the contender in this process. */
  Engine open(Inputs inputs, Map<String, String> settings) {
    return switch (this) {
      case LORIKEET, LORIKEET_AUTO -> new LorikeetEngine(inputs, settings);
      case JLAMA -> new JlamaEngine(inputs, settings);
      case LLAMA_CPP -> new LlamaCppEngine(inputs, settings);
    };
  }
}
