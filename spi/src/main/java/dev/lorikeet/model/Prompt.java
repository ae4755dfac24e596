package dev.lorikeet.model;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.util.List;
import java.util.Optional;

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
   * assistant's turn. Make one with {@link #of}: the canonical constructor may gain parameters.
   *
   * @param messages at least one message
   * @param tools what the assistant may call; a template that does not know of tools leaves them
   *     out
   */
  record Chat(List<ChatMessage> messages, List<ToolDefinition> tools) implements Prompt {
    public Chat {
      messages = List.copyOf(messages);
      tools = List.copyOf(tools);
      if (messages.isEmpty()) {
        throw new LorikeetException(
            Code.INVALID_REQUEST, "messages: expected at least one, found none");
      }
    }

    /** Returns a conversation without tools. */
    public static Chat of(List<ChatMessage> messages) {
      return new Chat(messages, List.of());
    }

    /** Returns a conversation without tools. */
    public static Chat of(ChatMessage... messages) {
      return of(List.of(messages));
    }

    /** Returns the same conversation with these tools. */
    public Chat withTools(List<ToolDefinition> tools) {
      return new Chat(messages, tools);
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
        throw new LorikeetException(
            Code.INVALID_REQUEST, "tokens: expected at least one, found none");
      }
    }
  }

  /**
   * One message of a conversation. Make one with the factories: the canonical constructor may gain
   * parameters.
   *
   * @param role {@code system}, {@code user}, {@code assistant}, {@code tool} or another role that
   *     the template knows
   * @param content the text; may be empty where there are tool calls
   * @param toolCalls what the assistant called in this message
   * @param toolCallId of a tool's result: the call that it answers
   * @param name of a tool's result: the tool
   */
  record ChatMessage(
      String role,
      String content,
      List<ToolCall> toolCalls,
      Optional<String> toolCallId,
      Optional<String> name) {
    public ChatMessage {
      toolCalls = List.copyOf(toolCalls);
    }

    /** Returns a message of any role. */
    public static ChatMessage of(String role, String content) {
      return new ChatMessage(role, content, List.of(), Optional.empty(), Optional.empty());
    }

    /** Returns what frames the conversation. */
    public static ChatMessage system(String content) {
      return of("system", content);
    }

    /** Returns what the user says. */
    public static ChatMessage user(String content) {
      return of("user", content);
    }

    /** Returns what the assistant said. */
    public static ChatMessage assistant(String content) {
      return of("assistant", content);
    }

    /** Returns what the assistant said and called; {@code content} may be empty. */
    public static ChatMessage assistant(String content, List<ToolCall> toolCalls) {
      return new ChatMessage("assistant", content, toolCalls, Optional.empty(), Optional.empty());
    }

    /**
     * Returns what a tool answered.
     *
     * @param toolCallId the {@link ToolCall#id} that it answers
     * @param name the tool's name
     */
    public static ChatMessage tool(String toolCallId, String name, String content) {
      return new ChatMessage(
          "tool", content, List.of(), Optional.of(toolCallId), Optional.of(name));
    }
  }

  /**
   * One call of a tool, as an assistant made it.
   *
   * @param id names the call, so that a result can answer it; empty if it needs no name, then
   *     templates see none
   * @param name the tool's name
   * @param arguments a JSON object, as text
   */
  record ToolCall(String id, String name, String arguments) {}

  /**
   * What a tool is for and what it takes.
   *
   * @param name the name by which it is called
   * @param description for the model to read
   * @param parameters a JSON schema of the arguments: a JSON object, as text
   */
  record ToolDefinition(String name, String description, String parameters) {}
}
