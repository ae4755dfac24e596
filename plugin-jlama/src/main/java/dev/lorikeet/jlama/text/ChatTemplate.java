package dev.lorikeet.jlama.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.hubspot.jinjava.Jinjava;
import com.hubspot.jinjava.JinjavaConfig;
import com.hubspot.jinjava.interpret.RenderResult;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.loading.JsonFile;
import dev.lorikeet.model.Prompt.ChatMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The chat template of a model directory: {@code chat_template.jinja}, or {@code chat_template} of
 * {@code tokenizer_config.json}, of whose named templates the one named {@code default} is taken.
 *
 * <p>What it gives holds the special tokens already: encode it without adding any.
 */
public final class ChatTemplate {
  private static final String FILE = "chat_template.jinja";
  private static final String CONFIG_FILE = "tokenizer_config.json";
  private static final String KEY = "chat_template";
  private static final long MAX_CONFIG_BYTES = 256L << 20;

  private final String text;
  private final Map<String, Object> specialTokens;

  private ChatTemplate(String text, Map<String, Object> specialTokens) {
    this.text = text;
    this.specialTokens = Map.copyOf(specialTokens);
  }

  /** Reads the template of a model directory, or returns empty where it has none. */
  public static Optional<ChatTemplate> read(Path directory) {
    Optional<JsonFile> config =
        JsonFile.readIfPresent(directory.resolve(CONFIG_FILE), MAX_CONFIG_BYTES);
    Map<String, Object> specialTokens = new HashMap<>();
    for (String name : new String[] {"bos_token", "eos_token"}) {
      config
          .flatMap(c -> c.node(name))
          .map(value -> value.isObject() ? value.path("content") : value)
          .filter(JsonNode::isTextual)
          .ifPresent(value -> specialTokens.put(name, value.textValue()));
    }
    Path file = directory.resolve(FILE);
    try {
      Optional<String> text =
          Files.exists(file)
              ? Optional.of(Files.readString(file))
              : config.flatMap(c -> c.node(KEY)).map(JsonNode::asText);
      return text.map(t -> new ChatTemplate(t, specialTokens));
    } catch (IOException e) {
      throw new LorikeetException(Code.MODEL_INVALID, file + ": cannot be read: " + e, e);
    }
  }

  /**
   * Renders a conversation.
   *
   * @param addGenerationPrompt whether the text ends where the assistant's turn begins
   */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    Map<String, Object> context = new HashMap<>(specialTokens);
    List<Map<String, Object>> list = new ArrayList<>();
    messages.forEach(m -> list.add(Map.of("role", m.role(), "content", m.content())));
    context.put("messages", list);
    context.put("add_generation_prompt", addGenerationPrompt);
    RenderResult result =
        new Jinjava(
                JinjavaConfig.newBuilder()
                    .withTrimBlocks(true)
                    .withLstripBlocks(true)
                    .withNestedInterpretationEnabled(false)
                    .build())
            .renderForResult(text, context);
    if (result.hasErrors()) {
      throw new LorikeetException(
          Code.INVALID_REQUEST, "chat template: " + result.getErrors().getFirst().getMessage());
    }
    return result.getOutput();
  }
}
