package dev.lorikeet.adapter;

import java.util.Map;
import java.util.Optional;

/**
 * What the files beside an adapter's weights say of texts: how conversations are written for it,
 * and which tokens its tokenizer has beside the vocabulary. Read at registration; untrusted like
 * all that an adapter brings.
 *
 * <p>Make one with {@link #of}: the canonical constructor may gain parameters.
 *
 * @param source names the place of the templates in errors
 * @param templates chat templates by name, of which {@code default} is for all conversations that
 *     no other is for; empty where the adapter has none and the base model's is used
 * @param fault why its templates cannot be used, if they can't: conversations are refused with it
 * @param specialTokens special tokens by their names, such as {@code eos_token}
 * @param addedTokens the ids of tokens beside the vocabulary, by their texts
 */
public record AdapterText(
    String source,
    Map<String, String> templates,
    Optional<String> fault,
    Map<String, String> specialTokens,
    Map<String, Integer> addedTokens) {
  public AdapterText {
    templates = Map.copyOf(templates);
    specialTokens = Map.copyOf(specialTokens);
    addedTokens = Map.copyOf(addedTokens);
  }

  /** Returns what an adapter says that has templates alone. */
  public static AdapterText of(String source, Map<String, String> templates) {
    return new AdapterText(source, templates, Optional.empty(), Map.of(), Map.of());
  }

  /** Returns the same with tokens of the adapter's tokenizer. */
  public AdapterText withTokens(
      Map<String, String> specialTokens, Map<String, Integer> addedTokens) {
    return new AdapterText(source, templates, fault, specialTokens, addedTokens);
  }

  /** Returns whether conversations are written by the adapter's template, usable or not. */
  public boolean hasTemplate() {
    return !templates.isEmpty() || fault.isPresent();
  }
}
