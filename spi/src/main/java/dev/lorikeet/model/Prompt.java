package dev.lorikeet.model;

import java.util.List;

/** What a request gives the model to continue. */
public sealed interface Prompt {
  /**
   * Plain text, encoded with the tokens that the model's tokenizer adds by itself (such as a
   * leading BOS).
   *
   * @param text the text; may be empty if the tokenizer adds a token
   */
  record Text(String text) implements Prompt {}

  /**
   * A conversation, rendered by the chat template of the model directory with a prompt for the
   * assistant's turn.
   *
   * @param messages at least one message
   */
  record Chat(List<ChatMessage> messages) implements Prompt {
    public Chat {
      messages = List.copyOf(messages);
      if (messages.isEmpty()) {
        throw new IllegalArgumentException("messages: expected at least one");
      }
    }
  }

  /**
   * Token ids, used as they are.
   *
   * @param tokens at least one id
   */
  record Tokens(List<Integer> tokens) implements Prompt {
    public Tokens {
      tokens = List.copyOf(tokens);
      if (tokens.isEmpty()) {
        throw new IllegalArgumentException("tokens: expected at least one");
      }
    }
  }

  /**
   * One message of a conversation.
   *
   * @param role {@code system}, {@code user}, {@code assistant} or another role that the template
   *     knows
   * @param content the text
   */
  record ChatMessage(String role, String content) {}
}
