package dev.lorikeet.host.telemetry;

import dev.lorikeet.model.Prompt;

/** What a request asks for, by the name that telemetry gives it. */
public enum Operation {
  /** A conversation is continued. */
  CHAT("chat"),
  /** A text, or tokens, are continued. */
  TEXT_COMPLETION("text_completion"),
  /** Log-probabilities of a text; the conventions have no word for it. */
  SCORE("score");

  private final String text;

  Operation(String text) {
    this.text = text;
  }

  /** Returns the operation that continues a prompt. */
  public static Operation completing(Prompt prompt) {
    return prompt instanceof Prompt.Chat ? CHAT : TEXT_COMPLETION;
  }

  /** Returns the value of {@code gen_ai.operation.name}. */
  String text() {
    return text;
  }
}
