package dev.lorikeet.files.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.files.JsonFile;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The special tokens that a folder names: in {@code tokenizer_config.json} or, where that is
 * silent, in {@code special_tokens_map.json}, as a text or as an object with its content.
 *
 * @param config the first file
 * @param map the second
 */
public record SpecialTokens(Optional<JsonFile> config, Optional<JsonFile> map) {
  /** The names of single tokens. */
  public static final List<String> NAMES =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  private static final List<String> LISTS =
      List.of("additional_special_tokens", "extra_special_tokens");
  private static final String MAP_FILE = "special_tokens_map.json";
  private static final long MAX_MAP_BYTES = 8L << 20;

  /**
   * Reads the second file, if it is there.
   *
   * @param config the first
   */
  public static SpecialTokens read(Path directory, Optional<JsonFile> config) {
    return new SpecialTokens(
        config, JsonFile.readIfPresent(directory.resolve(MAP_FILE), MAX_MAP_BYTES));
  }

  /** Returns the text of a token, such as that of {@code bos_token}. */
  public Optional<String> named(String name) {
    return node(name).flatMap(SpecialTokens::content);
  }

  /** Returns the texts of all of them. */
  public Set<String> all() {
    Set<String> all = new LinkedHashSet<>();
    NAMES.forEach(name -> named(name).ifPresent(all::add));
    for (String name : LISTS) {
      node(name).ifPresent(list -> list.forEach(token -> content(token).ifPresent(all::add)));
    }
    return all;
  }

  private Optional<JsonNode> node(String name) {
    return config.flatMap(file -> file.node(name)).or(() -> map.flatMap(file -> file.node(name)));
  }

  private static Optional<String> content(JsonNode token) {
    JsonNode content = token.isObject() ? token.path("content") : token;
    return content.isTextual() ? Optional.of(content.textValue()) : Optional.empty();
  }
}
