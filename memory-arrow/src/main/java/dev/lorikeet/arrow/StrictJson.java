package dev.lorikeet.arrow;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/**
 * JSON from untrusted files: UTF-8 alone, no key twice, nothing after the end, bounded nesting,
 * names, strings and numbers.
 */
final class StrictJson {
  private static final int MAX_DEPTH = 16;
  private static final int MAX_NAME = 1000;
  private static final int MAX_NUMBER = 100;
  private static final int MAX_STRING = 1 << 20;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_DEPTH)
                          .maxNameLength(MAX_NAME)
                          .maxNumberLength(MAX_NUMBER)
                          .maxStringLength(MAX_STRING)
                          .build())
                  .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private StrictJson() {}

  /** Reads one JSON object as a tree. */
  static JsonNode object(Path file, String what, ByteBuffer bytes) {
    String text = decode(file, what, bytes);
    JsonNode tree;
    try {
      tree = MAPPER.readTree(text);
    } catch (JsonProcessingException e) {
      throw damaged(file, what, e);
    }
    if (!tree.isObject()) {
      throw Refusal.invalid(file, what + ": expected a JSON object, found " + tree.getNodeType());
    }
    return tree;
  }

  /** Opens a parser on one JSON text; its exceptions go through {@link #damaged}. */
  static JsonParser parser(Path file, String what, ByteBuffer bytes) {
    try {
      return MAPPER.createParser(decode(file, what, bytes));
    } catch (IOException e) {
      throw damaged(file, what, e);
    }
  }

  /** Tells what is wrong with a JSON text and where. */
  static RuntimeException damaged(Path file, String what, IOException e) {
    String found =
        e instanceof JsonProcessingException json
            ? json.getOriginalMessage()
                + (json.getLocation() == null
                    ? ""
                    : " (line "
                        + json.getLocation().getLineNr()
                        + ", column "
                        + json.getLocation().getColumnNr()
                        + ")")
            : String.valueOf(e.getMessage());
    return Refusal.invalid(
        file, what + ": expected well-formed JSON, found: " + Refusal.show(found), e);
  }

  private static String decode(Path file, String what, ByteBuffer bytes) {
    try {
      return StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPORT)
          .onUnmappableCharacter(CodingErrorAction.REPORT)
          .decode(bytes)
          .toString();
    } catch (CharacterCodingException e) {
      throw Refusal.invalid(
          file, what + ": expected UTF-8, found a malformed sequence of bytes", e);
    }
  }
}
