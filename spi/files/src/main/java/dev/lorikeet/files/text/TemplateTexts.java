package dev.lorikeet.files.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.files.JsonFile;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The chat templates of a folder, unparsed: {@code chat_template.jinja}, {@code chat_template} of
 * {@code tokenizer_config.json}, or that of {@code chat_template.json}, the first of them that is
 * there.
 *
 * @param source names the place in errors
 * @param named the templates by name; a text alone is the {@link #DEFAULT}
 * @param fault why there is no default among them, if there is none
 */
public record TemplateTexts(
    String source, Map<String, String> named, Optional<LorikeetException> fault) {
  /** The name of the template for all conversations that no other is for. */
  public static final String DEFAULT = "default";

  /** The name of the template for conversations with tools. */
  public static final String TOOL_USE = "tool_use";

  /** The longest text of a template that is used. */
  public static final int MAX_TEMPLATE_BYTES = 1 << 18;

  private static final String FILE = "chat_template.jinja";
  private static final String JSON_FILE = "chat_template.json";
  private static final String KEY = "chat_template";
  private static final int MAX_FILE_BYTES = 32 << 20;

  /**
   * Reads the templates of a folder, or returns empty where it has none.
   *
   * @param config the folder's {@code tokenizer_config.json}, if it has one
   * @throws LorikeetException for files that cannot be read; what is read and is no template is a
   *     fault
   */
  public static Optional<TemplateTexts> read(TextFolder folder, Optional<JsonFile> config) {
    if (folder.has(FILE)) {
      return Optional.of(ofFile(folder));
    }
    Optional<TemplateTexts> configured = config.flatMap(TemplateTexts::of);
    if (configured.isPresent() || !folder.has(JSON_FILE)) {
      return configured;
    }
    ByteBuffer bytes = folder.read(JSON_FILE, MAX_FILE_BYTES);
    String source = folder.path(JSON_FILE).toString();
    try {
      return of(JsonFile.parse(folder.faults(), source, bytes));
    } catch (LorikeetException e) {
      return Optional.of(new TemplateTexts(source, Map.of(), Optional.of(e)));
    }
  }

  private static TemplateTexts ofFile(TextFolder folder) {
    ByteBuffer bytes = folder.read(FILE, MAX_FILE_BYTES);
    String source = folder.path(FILE).toString();
    try {
      String text = StandardCharsets.UTF_8.newDecoder().decode(bytes).toString();
      return new TemplateTexts(source, Map.of(DEFAULT, text), Optional.empty());
    } catch (CharacterCodingException e) {
      LorikeetException fault =
          folder.faults().invalid(source, "UTF-8", "a malformed sequence of bytes", e);
      return new TemplateTexts(source, Map.of(), Optional.of(fault));
    }
  }

  private static Optional<TemplateTexts> of(JsonFile file) {
    return file.node(KEY)
        .map(
            value -> {
              Map<String, String> named = named(value);
              return new TemplateTexts(
                  file.where(KEY),
                  named,
                  named.containsKey(DEFAULT)
                      ? Optional.empty()
                      : Optional.of(
                          file.wrong(
                              KEY, value, "a template, or a list with one named " + DEFAULT)));
            });
  }

  private static Map<String, String> named(JsonNode value) {
    if (value.isTextual()) {
      return Map.of(DEFAULT, value.textValue());
    }
    Map<String, String> named = new LinkedHashMap<>();
    for (JsonNode entry : value) {
      if (entry.path("template").isTextual()) {
        named.putIfAbsent(entry.path("name").asText(), entry.path("template").textValue());
      }
    }
    return named;
  }
}
