package dev.lorikeet.text;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.files.UntrustedFile;
import dev.lorikeet.files.text.SpecialTokens;
import dev.lorikeet.files.text.TemplateTexts;
import dev.lorikeet.files.text.TextFolder;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.text.jinja.JinjaException;
import dev.lorikeet.text.jinja.JinjaTemplate;
import dev.lorikeet.text.vocabulary.TokenizerSource;
import java.lang.System.Logger.Level;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The chat template of a model directory or a GGUF file, of an adapter, or of a file of its own:
 * {@code chat_template.jinja}, or {@code chat_template} of {@code tokenizer_config.json}, {@code
 * chat_template.json} or a GGUF file's metadata, of whose named templates the one named {@code
 * tool_use}, if there is one, is taken for conversations with tools, and the one named {@code
 * default} for all others. Renders what transformers' {@code apply_chat_template} renders.
 * Immutable, for any number of threads.
 *
 * <p>What it gives holds the special tokens already: encode it without adding any.
 */
public final class ChatTemplate {
  private static final System.Logger LOG = System.getLogger(ChatTemplate.class.getName());
  private static final long MAX_CONFIG_BYTES = 32L << 20;

  private final String source;
  private final Content content;
  private final Optional<Content> toolContent;
  private final Map<String, Object> specialTokens;

  private ChatTemplate(
      String source,
      Content content,
      Optional<Content> toolContent,
      Map<String, Object> specialTokens) {
    this.source = source;
    this.content = content;
    this.toolContent = toolContent;
    this.specialTokens = Map.copyOf(specialTokens);
  }

  /** What became of the text of a template. */
  private sealed interface Content {
    /** It can be rendered. */
    record Usable(JinjaTemplate template) implements Content {}

    /** It is no template, or uses what is not supported. */
    record Unusable(LorikeetException reason) implements Content {}

    static Content of(String source, String text) {
      try {
        return new Usable(parse(source, text));
      } catch (JinjaException e) {
        return unusable(
            new LorikeetException(Code.MODEL_UNSUPPORTED, source + ": " + e.getMessage(), e));
      } catch (LorikeetException e) {
        return unusable(e);
      }
    }

    static JinjaTemplate parse(String source, String text) {
      if (text.length() > TemplateTexts.MAX_TEMPLATE_BYTES) {
        throw Faults.MODEL.invalid(
            source, "at most " + TemplateTexts.MAX_TEMPLATE_BYTES + " bytes", text.length());
      }
      return JinjaTemplate.parse(text);
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
    Optional<JsonFile> config = config(directory);
    return TemplateTexts.read(TextFolder.ofModel(directory), config)
        .map(
            texts ->
                of(
                    texts.source(),
                    texts.named(),
                    texts.fault(),
                    named(SpecialTokens.read(directory, config))));
  }

  /**
   * Returns the template that an adapter brings, with the special tokens of its tokenizer, or empty
   * where it brings none.
   *
   * @param text what the adapter says of texts
   */
  public static Optional<ChatTemplate> of(AdapterText text) {
    return text.hasTemplate()
        ? Optional.of(
            of(
                text.source(),
                text.templates(),
                text.fault().map(reason -> new LorikeetException(Code.ADAPTER_INVALID, reason)),
                Map.copyOf(text.specialTokens())))
        : Optional.empty();
  }

  /**
   * Reads a template that somebody has chosen, for the special tokens of a model directory.
   *
   * @throws LorikeetException with {@code INVALID_CONFIG} for a file that is no template or cannot
   *     be read, since it was asked for by name
   */
  public static ChatTemplate chosen(Path file, Path directory) {
    String source = file.toString();
    String text = UntrustedFile.readText(Faults.CONFIG, file, TemplateTexts.MAX_TEMPLATE_BYTES);
    try {
      return new ChatTemplate(
          source,
          new Content.Usable(JinjaTemplate.parse(text)),
          Optional.empty(),
          named(SpecialTokens.read(directory, config(directory))));
    } catch (JinjaException e) {
      throw new LorikeetException(
          Code.INVALID_CONFIG, "chat template " + source + ": " + e.getMessage(), e);
    }
  }

  private static Optional<JsonFile> config(Path directory) {
    return TokenizerSource.config(directory, MAX_CONFIG_BYTES);
  }

  private static ChatTemplate of(
      String source,
      Map<String, String> named,
      Optional<LorikeetException> fault,
      Map<String, Object> specialTokens) {
    Content content =
        fault
            .map(Content::unusable)
            .orElseGet(() -> Content.of(source, named.getOrDefault(TemplateTexts.DEFAULT, "")));
    return new ChatTemplate(
        source,
        content,
        Optional.ofNullable(named.get(TemplateTexts.TOOL_USE))
            .map(text -> Content.of(source, text)),
        specialTokens);
  }

  private static Map<String, Object> named(SpecialTokens special) {
    Map<String, Object> tokens = new HashMap<>();
    for (String name : SpecialTokens.NAMES) {
      special.named(name).ifPresent(token -> tokens.put(name, token));
    }
    return tokens;
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
