package dev.lorikeet.host.serving;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.ChatTemplate;
import dev.lorikeet.text.EncodingLimit;
import dev.lorikeet.text.Tokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/** Encodes prompts, and says what is wrong with them. Safe for any number of threads. */
final class Prompts {
  private final ModelInfo info;
  private final Tokenizer tokenizer;
  private final Optional<ChatTemplate> chatTemplate;
  private final AdapterTexts adapters;

  Prompts(
      ModelInfo info,
      Tokenizer tokenizer,
      Optional<ChatTemplate> chatTemplate,
      AdapterTexts adapters) {
    this.info = info;
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.adapters = adapters;
  }

  /** A prompt as text, where it came as text, and as token ids. */
  record Encoded(String text, List<Integer> tokens) {
    static Encoded of(String text, int[] tokens) {
      return new Encoded(text, Arrays.stream(tokens).boxed().toList());
    }

    int length() {
      return tokens.size();
    }

    int[] array() {
      return tokens.stream().mapToInt(Integer::intValue).toArray();
    }
  }

  /**
   * Encodes a prompt, on the thread of the caller.
   *
   * @param adapter the request's adapters, whose template may be of their own
   * @param roomFor how many positions must be left behind it
   * @param checkTime called between pieces of work and at the end; throws once there is no time
   *     left
   * @throws LorikeetException with code {@code INVALID_REQUEST}
   */
  Encoded encode(Prompt prompt, AdapterChoice adapter, int roomFor, Runnable checkTime) {
    EncodingLimit limit = new EncodingLimit(info.maxPositions() - roomFor, checkTime);
    Encoded encoded =
        switch (prompt) {
          case Prompt.Text(String text) -> Encoded.of(text, tokenizer.encode(text, true, limit));
          case Prompt.Chat chat -> {
            String text = template(adapter).render(chat, true, checkTime);
            yield Encoded.of(text, tokenizer.encode(text, false, limit));
          }
          case Prompt.Tokens(List<Integer> tokens) -> new Encoded("", tokens);
        };
    checkTime.run();
    List<Integer> tokens = encoded.tokens();
    if (tokens.isEmpty()) {
      throw invalid("prompt: expected at least one token, found none");
    }
    if (tokens.size() > info.maxPositions() - roomFor) {
      throw invalid(
          "prompt: expected at most "
              + (info.maxPositions() - roomFor)
              + " tokens (the model has "
              + info.maxPositions()
              + " positions), found "
              + tokens.size());
    }
    int vocabulary = info.shape().vocabulary();
    for (int i = 0; i < tokens.size(); i++) {
      if (tokens.get(i) < 0 || tokens.get(i) >= vocabulary) {
        throw invalid(
            "prompt: expected token ids from 0 to "
                + (vocabulary - 1)
                + ", found "
                + tokens.get(i)
                + " at place "
                + i);
      }
    }
    return encoded;
  }

  private ChatTemplate template(AdapterChoice adapter) {
    return adapters
        .template(adapter)
        .or(() -> chatTemplate)
        .orElseThrow(
            () ->
                invalid(
                    "chat: the model directory "
                        + info.directory()
                        + " has no chat template; send the prompt as text"));
  }

  private static LorikeetException invalid(String message) {
    return new LorikeetException(Code.INVALID_REQUEST, message);
  }
}
