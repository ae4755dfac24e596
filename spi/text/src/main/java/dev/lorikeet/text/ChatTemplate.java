package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.text.jinja.JinjaException;
import dev.lorikeet.text.jinja.JinjaTemplate;
import dev.lorikeet.text.vocabulary.TokenizerSource;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The chat template of a model directory or a GGUF file: {@code chat_template.jinja}, or {@code
 * chat_template} of {@code tokenizer_config.json} or of the file's metadata, of whose named
 * templates the one named {@code tool_use}, if there is one, is taken for conversations with tools,
 * and the one named {@code default} for all others. Renders what transformers' {@code
 * apply_chat_template} renders. Immutable, for any number of threads.
 *
 * <p>What it gives holds the special tokens already: encode it without adding any.
 */
public final class ChatTemplate {
  private static final System.Logger LOG = System.getLogger(ChatTemplate.class.getName());
  private static final String FILE = "chat_template.jinja";
  private static final String KEY = "chat_template";
  private static final String DEFAULT = "default";
  private static final String TOOL_USE = "tool_use";
  private static final long MAX_TEMPLATE_BYTES = 1 << 18;
  private static final long MAX_CONFIG_BYTES = 32L << 20;

  private final String source;
  private final Content content;
  private final Optional<Content> toolContent;
  private final Map<String, Object> specialTokens;

  private ChatTemplate(
      String source, Content content, Optional<Content> toolContent, SpecialTokens special) {
    this.source = source;
    this.content = content;
    this.toolContent = toolContent;
    Map<String, Object> tokens = new HashMap<>();
    for (String name : SpecialTokens.NAMES) {
      special.named(name).ifPresent(token -> tokens.put(name, token));
    }
    this.specialTokens = Map.copyOf(tokens);
  }

  /** What became of the text of a template. */
  private sealed interface Content {
    /** It can be rendered. */
    record Usable(JinjaTemplate template) implements Content {}

    /** It is no template, or uses what is not supported. */
    record Unusable(LorikeetException reason) implements Content {}

    static Content of(String source, Supplier<String> text) {
      try {
        String found = text.get();
        if (found.length() > MAX_TEMPLATE_BYTES) {
          throw Faults.MODEL.invalid(
              source, "at most " + MAX_TEMPLATE_BYTES + " bytes", found.length());
        }
        return new Usable(JinjaTemplate.parse(found));
      } catch (JinjaException e) {
        return unusable(
            new LorikeetException(Code.MODEL_UNSUPPORTED, source + ": " + e.getMessage(), e));
      } catch (LorikeetException e) {
        return unusable(e);
      }
    }

    private static Content unusable(LorikeetException reason) {
      LOG.log(
          Level.WARNING,
          "{0}: conversations will be refused, since the chat template cannot be used",
          reason.getMessage());
      return new Unusable(reason);
    }

    default JinjaTemplate template() {
      return switch (this) {
        case Usable(JinjaTemplate template) -> template;
        case Unusable(LorikeetException reason) ->
            throw new LorikeetException(
                Code.INVALID_REQUEST,
                "chat: the chat template cannot be used; send the prompt as text: "
                    + reason.getMessage(),
                reason);
      };
    }
  }

  /**
   * Reads the template of a model directory or a GGUF file, or returns empty where it has none. A
   * text that is no template, or uses what is not supported, is a warning: a model may well be used
   * without conversations, and {@link #render} tells the reason.
   *
   * @throws LorikeetException with {@code MODEL_INVALID} for files that cannot be read
   */
  public static Optional<ChatTemplate> read(Path directory) {
    Optional<JsonFile> config = TokenizerSource.config(directory, MAX_CONFIG_BYTES);
    SpecialTokens special = SpecialTokens.read(directory, config);
    Path file = directory.resolve(FILE);
    if (Files.exists(file)) {
      return Optional.of(
          new ChatTemplate(file.toString(), content(file), Optional.empty(), special));
    }
    return config.flatMap(
        c ->
            c.node(KEY)
                .map(
                    value -> {
                      String source = c.where(KEY);
                      return new ChatTemplate(
                          source,
                          Content.of(source, () -> text(c, value)),
                          named(value, TOOL_USE).map(text -> Content.of(source, () -> text)),
                          special);
                    }));
  }

  /** Reads a file whole, so that one that cannot be read is told from one that cannot be used. */
  private static Content content(Path file) {
    ByteBuffer bytes = UntrustedFile.read(Faults.MODEL, file, MAX_CONFIG_BYTES);
    return Content.of(
        file.toString(),
        () -> {
          try {
            return StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
          } catch (CharacterCodingException e) {
            throw Faults.MODEL.invalid(file, "UTF-8", "a malformed sequence of bytes", e);
          }
        });
  }

  private static String text(JsonFile config, JsonNode value) {
    if (value.isTextual()) {
      return value.textValue();
    }
    return named(value, DEFAULT)
        .orElseThrow(
            () -> config.wrong(KEY, value, "a template, or a list with one named " + DEFAULT));
  }

  private static Optional<String> named(JsonNode templates, String name) {
    for (JsonNode named : templates) {
      if (named.path("name").asText().equals(name) && named.path("template").isTextual()) {
        return Optional.of(named.path("template").textValue());
      }
    }
    return Optional.empty();
  }

  /**
   * Renders a conversation.
   *
   * @param addGenerationPrompt whether the text ends where the assistant's turn begins
   * @throws LorikeetException with {@code INVALID_REQUEST} where the template cannot be used,
   *     refuses the conversation, fails on it or takes more work, memory or time for it than any
   *     template needs, or where a text is no JSON that must be
   */
  public String render(Chat chat, boolean addGenerationPrompt) {
    return render(chat, addGenerationPrompt, () -> {});
  }

  /**
   * Renders a conversation as {@link #render(Chat, boolean)} does, within some seconds.
   *
   * @param pulse called every few milliseconds while it takes; what it throws ends the rendering,
   *     for instance because the request is late
   */
  public String render(Chat chat, boolean addGenerationPrompt, Runnable pulse) {
    Map<String, Object> variables = new HashMap<>(specialTokens);
    variables.put("messages", ChatVariables.messages(chat));
    variables.put("add_generation_prompt", addGenerationPrompt);
    boolean withTools = !chat.tools().isEmpty();
    if (withTools) {
      variables.put("tools", ChatVariables.tools(chat));
    }
    try {
      return (withTools ? toolContent.orElse(content) : content)
          .template()
          .render(variables, pulse);
    } catch (JinjaException e) {
      String refused = e.kind() == JinjaException.Kind.RAISED ? "refused: " : "failed: ";
      throw new LorikeetException(
          Code.INVALID_REQUEST, "chat template " + source + " " + refused + e.getMessage(), e);
    }
  }
}
