package dev.lorikeet.text.vocabulary;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** Builds what {@code tokenizer.json} holds. */
final class Definition {
  private final ObjectNode json = JsonNodeFactory.instance.objectNode().put("version", "1.0");
  private final ArrayNode added = json.putArray("added_tokens");

  /** Adds a token that a text is searched for as it is. */
  void addToken(int id, String text, boolean special) {
    added
        .addObject()
        .put("id", id)
        .put("content", text)
        .put("single_word", false)
        .put("lstrip", false)
        .put("rstrip", false)
        .put("normalized", false)
        .put("special", special);
  }

  /** Sets a component: {@code normalizer}, {@code pre_tokenizer}, {@code decoder}. */
  void component(String name, ObjectNode component) {
    json.set(name, component);
  }

  /** Begins the model. */
  ObjectNode model(String type) {
    return json.putObject("model").put("type", type);
  }

  ObjectNode json() {
    return json;
  }
}
