package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.text.jinja.JinjaException;
import dev.lorikeet.text.jinja.JinjaTemplate;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The chat template of a model directory: {@code chat_template.jinja}, or {@code chat_template} of
 * {@code tokenizer_config.json}, of whose named templates the one named {@code default} is taken.
 * Renders what transformers' {@code apply_chat_template} renders without tools. Immutable, for any
 * number of threads.
 *
 * <p>What it gives holds the special tokens already: encode it without adding any.
 */
public final class ChatTemplate {
  private static final String FILE = "chat_template.jinja";
  private static final String CONFIG_FILE = "tokenizer_config.json";
  private static final String KEY = "chat_template";
  private static final String DEFAULT = "default";
  private static final long MAX_TEMPLATE_BYTES = 1 << 20;
  private static final long MAX_CONFIG_BYTES = 256L << 20;
  private static final String[] SPECIAL_TOKENS = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"
  };

  private final String source;
  private final JinjaTemplate template;
  private final Map<String, Object> specialTokens;

  private ChatTemplate(String source, String text, Optional<JsonFile> config) {
    this.source = source;
    Map<String, Object> tokens = new HashMap<>();
    for (String name : SPECIAL_TOKENS) {
      config
          .flatMap(c -> c.node(name))
          .map(value -> value.isObject() ? value.path("content") : value)
          .filter(JsonNode::isTextual)
          .ifPresent(value -> tokens.put(name, value.textValue()));
    }
    this.specialTokens = Map.copyOf(tokens);
    if (text.length() > MAX_TEMPLATE_BYTES) {
      throw new LorikeetException(
          Code.MODEL_INVALID,
          source + ": expected at most " + MAX_TEMPLATE_BYTES + " bytes, found " + text.length());
    }
    try {
      this.template = JinjaTemplate.parse(text);
    } catch (JinjaException e) {
      throw new LorikeetException(Code.MODEL_UNSUPPORTED, source + ": " + e.getMessage(), e);
    }
  }

  /**
   * Reads the template of a model directory, or returns empty where it has none.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} for files that cannot be read, {@code
   *     MODEL_UNSUPPORTED} for a template that is not Jinja or uses what is not supported
   */
  public static Optional<ChatTemplate> read(Path directory) {
    Path configFile = directory.resolve(CONFIG_FILE);
    Optional<JsonFile> config = JsonFile.readIfPresent(configFile, MAX_CONFIG_BYTES);
    Path file = directory.resolve(FILE);
    if (Files.exists(file)) {
      return Optional.of(new ChatTemplate(file.toString(), text(file), config));
    }
    return config
        .flatMap(c -> c.node(KEY).map(value -> text(c, value)))
        .map(text -> new ChatTemplate(configFile + ": " + KEY, text, config));
  }

  private static String text(Path file) {
    try {
      long size = Files.size(file);
      if (size > MAX_TEMPLATE_BYTES) {
        throw new LorikeetException(
            Code.MODEL_INVALID,
            file + ": expected at most " + MAX_TEMPLATE_BYTES + " bytes, found " + size);
      }
      return Files.readString(file);
    } catch (IOException e) {
      throw new LorikeetException(
          Code.MODEL_INVALID, file + ": expected readable UTF-8, found " + e, e);
    }
  }

  private static String text(JsonFile config, JsonNode value) {
    if (value.isTextual()) {
      return value.textValue();
    }
    for (JsonNode named : value) {
      if (named.path("name").asText().equals(DEFAULT) && named.path("template").isTextual()) {
        return named.path("template").textValue();
      }
    }
    throw config.wrong(KEY, value, "a template, or a list with one named " + DEFAULT);
  }

  /**
   * Renders a conversation.
   *
   * @param addGenerationPrompt whether the text ends where the assistant's turn begins
   * @throws LorikeetException with {@code INVALID_REQUEST} where the template refuses the
   *     conversation or fails on it
   */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    List<Map<String, Object>> list = new ArrayList<>();
    for (ChatMessage message : messages) {
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("role", message.role());
      fields.put("content", message.content());
      list.add(fields);
    }
    Map<String, Object> variables = new HashMap<>(specialTokens);
    variables.put("messages", list);
    variables.put("add_generation_prompt", addGenerationPrompt);
    try {
      return template.render(variables);
    } catch (JinjaException e) {
      String refused = e.kind() == JinjaException.Kind.RAISED ? "refused: " : "failed: ";
      throw new LorikeetException(
          Code.INVALID_REQUEST, "chat template " + source + " " + refused + e.getMessage(), e);
    }
  }
}
