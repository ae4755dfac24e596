package dev.lorikeet.files.gguf;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * The tokens that end a generation. Hugging Face keeps a list of them, of which a GGUF file has one
 * or two by number; those that end a turn of a conversation are known by their texts.
 */
final class GgufEndTokens {
  private static final List<String> KEYS =
      List.of(
          "tokenizer.ggml.eos_token_id",
          "tokenizer.ggml.eot_token_id",
          "tokenizer.ggml.eom_token_id");

  private static final Set<String> TEXTS =
      Set.of(
          "<|eot_id|>",
          "<|eom_id|>",
          "<|im_end|>",
          "<|end|>",
          "<|end_of_text|>",
          "<|endoftext|>",
          "<end_of_turn>",
          "<|end_of_turn|>",
          "<EOT>",
          "<|eot|>");

  /** The type of control tokens, which stand for no text. */
  private static final int CONTROL = 3;

  private GgufEndTokens() {}

  static Set<Integer> of(GgufMetadata metadata) {
    Set<Integer> ends = new LinkedHashSet<>();
    for (String key : KEYS) {
      metadata.integer(key, -1, Integer.MAX_VALUE).ifPresent(ends::add);
    }
    List<String> tokens = metadata.texts("tokenizer.ggml.tokens").orElse(List.of());
    List<Integer> types =
        metadata
            .integers("tokenizer.ggml.token_type", Integer.MIN_VALUE, Integer.MAX_VALUE)
            .orElse(List.of());
    for (int id = 0; id < Math.min(tokens.size(), types.size()); id++) {
      if (types.get(id) == CONTROL && TEXTS.contains(tokens.get(id))) {
        ends.add(id);
      }
    }
    return ends;
  }
}
