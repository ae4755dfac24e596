package dev.lorikeet.files.text;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.lorikeet.files.Faults;
import dev.lorikeet.files.JsonFile;
import java.io.IOException;
import java.io.InputStream;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The tokens beside the vocabulary that a tokenizer's files name, by their texts, without the rest
 * of these files. Bounded in number and length.
 */
public final class AddedTokenIds {
  private static final int MOST = 10_000;
  private static final int LONGEST = 512;
  private static final int MAX_ID = (1 << 22) - 1;

  private final Map<String, Integer> ids = new LinkedHashMap<>();

  /** Returns them. */
  public Map<String, Integer> ids() {
    return Map.copyOf(ids);
  }

  /** Adds what {@code added_tokens_decoder} of {@code tokenizer_config.json} has. */
  public void addDecoder(JsonFile decoder) {
    for (var entry : decoder.root().properties()) {
      if (entry.getKey().matches("[0-9]{1,7}")) {
        add(
            decoder.source(),
            entry.getValue().path("content").asText(),
            Integer.parseInt(entry.getKey()));
      }
    }
  }

  /** Adds what {@code added_tokens.json} has. */
  public void addMap(JsonFile map) {
    for (String text : map.root().propertyStream().map(Map.Entry::getKey).toList()) {
      add(map.source(), text, map.integer(text, 0, MAX_ID));
    }
  }

  private void add(String source, String text, int id) {
    if (text.isEmpty()) {
      return;
    }
    if (ids.size() == MOST || text.length() > LONGEST) {
      throw Faults.ADAPTER.refuse(
          source,
          "expected at most "
              + MOST
              + " added tokens of at most "
              + LONGEST
              + " characters, found more or longer ones");
    }
    ids.put(text, id);
  }

  /**
   * Adds what {@code tokenizer.json} has, which is read up to there and no further.
   *
   * @param source names the file in errors
   */
  public void addTokenizer(Faults faults, String source, InputStream bytes) {
    try (JsonParser parser = JsonFile.parser(bytes)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        throw faults.invalid(source, "a JSON object", "other JSON or nothing");
      }
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        boolean found = parser.currentName().equals("added_tokens");
        if (parser.nextToken() == JsonToken.START_ARRAY && found) {
          addList(source, parser);
          return;
        }
        parser.skipChildren();
      }
    } catch (IOException e) {
      throw JsonFile.damaged(faults, source, e);
    }
  }

  private void addList(String source, JsonParser parser) throws IOException {
    while (parser.nextToken() == JsonToken.START_OBJECT) {
      int id = -1;
      String text = "";
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        JsonToken value = parser.nextToken();
        if (name.equals("id") && value == JsonToken.VALUE_NUMBER_INT) {
          id = parser.getIntValue();
        } else if (name.equals("content") && value == JsonToken.VALUE_STRING) {
          text = parser.getText();
        } else {
          parser.skipChildren();
        }
      }
      if (id >= 0) {
        add(source, text, id);
      }
    }
  }
}
