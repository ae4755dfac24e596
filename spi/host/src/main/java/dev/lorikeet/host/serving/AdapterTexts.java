package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterStore;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.Tokenizer;
import java.util.Collection;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.WeakHashMap;

/**
 * What adapters say of texts, for the threads of those who submit requests: templates are parsed
 * and tokens compared with the model's when a request first needs them, once for all adapters that
 * say the same, and forgotten when the store has forgotten them. Thread-safe.
 */
final class AdapterTexts {
  private static final String EOS = "eos_token";

  private final AdapterStore adapters;
  private final Tokenizer tokenizer;
  private final boolean templates;
  private final Map<AdapterText, Known> known = new WeakHashMap<>();

  /**
   * What became of a text.
   *
   * @param template its template
   * @param eos the token that ends a generation
   * @param fault why the adapter cannot be used with text
   */
  private record Known(
      Optional<ChatTemplate> template, OptionalInt eos, Optional<LorikeetException> fault) {}

  /**
   * Creates the texts of a store's adapters.
   *
   * @param templates whether their templates are used
   */
  AdapterTexts(AdapterStore adapters, Tokenizer tokenizer, boolean templates) {
    this.adapters = adapters;
    this.tokenizer = tokenizer;
    this.templates = templates;
  }

  /**
   * Returns the template of the adapters that a request names, if they bring one, and all the same.
   *
   * @throws LorikeetException with code {@code ADAPTER_NOT_FOUND}
   */
  Optional<ChatTemplate> template(AdapterChoice choice) {
    if (!templates) {
      return Optional.empty();
    }
    Set<Optional<AdapterText>> texts = new LinkedHashSet<>();
    for (String adapter : named(choice)) {
      AdapterSelector.registered(adapters, adapter);
      texts.add(text(adapter).filter(AdapterText::hasTemplate));
    }
    return texts.size() == 1
        ? texts.iterator().next().flatMap(text -> known(text).template())
        : Optional.empty();
  }

  private static List<String> named(AdapterChoice choice) {
    return switch (choice) {
      case AdapterChoice.Named(String adapter) -> List.of(adapter);
      case AdapterChoice.Mixed(Mixture mixture) ->
          mixture.shares().stream().map(Mixture.Share::adapter).toList();
      case AdapterChoice.None none -> List.of();
      case AdapterChoice.Routed routed -> List.of();
      case AdapterChoice.PerToken perToken -> List.of();
    };
  }

  /**
   * Refuses adapters whose tokenizers give a text other tokens than the model's does.
   *
   * @throws LorikeetException with code {@code ADAPTER_UNSUPPORTED}
   */
  void check(Collection<String> selected) {
    for (String adapter : selected) {
      Optional<LorikeetException> fault = text(adapter).flatMap(text -> known(text).fault());
      if (fault.isPresent()) {
        LorikeetException found = fault.get();
        throw new LorikeetException(
            found.code(), "adapter '" + adapter + "': " + found.getMessage(), found);
      }
    }
  }

  /** Returns the tokens that end a generation with these adapters, by their own tokenizers. */
  Set<Integer> endTokens(Collection<String> selected) {
    Set<Integer> tokens = new HashSet<>();
    for (String adapter : selected) {
      text(adapter).ifPresent(text -> known(text).eos().ifPresent(tokens::add));
    }
    return tokens;
  }

  private Optional<AdapterText> text(String adapter) {
    return AdapterSelector.ofStore(() -> adapters.text(adapter));
  }

  private Known known(AdapterText text) {
    synchronized (known) {
      Known found = known.get(text);
      if (found != null) {
        return found;
      }
    }
    Known now = learn(text);
    synchronized (known) {
      known.put(text, now);
    }
    return now;
  }

  private Known learn(AdapterText text) {
    return new Known(
        templates ? ChatTemplate.of(text) : Optional.empty(),
        Optional.ofNullable(text.specialTokens().get(EOS))
            .map(tokenizer::specialToken)
            .orElse(OptionalInt.empty()),
        text.addedTokens().entrySet().stream()
            .sorted(Map.Entry.comparingByValue())
            .flatMap(token -> fault(token.getKey(), token.getValue()).stream())
            .findFirst());
  }

  private Optional<LorikeetException> fault(String token, int id) {
    int[] ids = tokenizer.encode(token, false);
    // SentencePiece's tokenizers may put a space before a text.
    if (ids.length > 0 && ids.length <= 2 && ids[ids.length - 1] == id) {
      return Optional.empty();
    }
    return Optional.of(
        new LorikeetException(
            Code.ADAPTER_UNSUPPORTED,
            "expected a tokenizer that is the base model's, found '"
                + token
                + "' with id "
                + id
                + ", which the base model's gives "
                + (ids.length == 1 ? "id " + ids[0] : ids.length + " ids")
                + "; send token ids"));
  }
}
