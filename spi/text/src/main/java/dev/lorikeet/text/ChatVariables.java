package dev.lorikeet.text;

import com.fasterxml.jackson.databind.JsonNode;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.JsonFile;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.model.Prompt.ToolCall;
import dev.lorikeet.model.Prompt.ToolDefinition;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A conversation as templates for Hugging Face's models expect it: dictionaries with the keys of
 * {@code apply_chat_template}, in its order, so that {@code tojson} writes what it writes there.
 */
final class ChatVariables {
  private ChatVariables() {}

  static List<Map<String, Object>> messages(Chat chat) {
    List<Map<String, Object>> messages = new ArrayList<>();
    for (int i = 0; i < chat.messages().size(); i++) {
      messages.add(message(chat.messages().get(i), "messages[" + i + "]"));
    }
    return messages;
  }

  private static Map<String, Object> message(ChatMessage message, String where) {
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("role", message.role());
    fields.put("content", message.content());
    if (!message.toolCalls().isEmpty()) {
      List<Map<String, Object>> calls = new ArrayList<>();
      for (int i = 0; i < message.toolCalls().size(); i++) {
        calls.add(call(message.toolCalls().get(i), where + ".toolCalls[" + i + "]"));
      }
      fields.put("tool_calls", calls);
    }
    message.toolCallId().ifPresent(id -> fields.put("tool_call_id", id));
    message.name().ifPresent(name -> fields.put("name", name));
    return fields;
  }

  private static Map<String, Object> call(ToolCall call, String where) {
    Map<String, Object> function = new LinkedHashMap<>();
    function.put("name", call.name());
    function.put("arguments", object(call.arguments(), where + ".arguments"));
    Map<String, Object> fields = new LinkedHashMap<>();
    fields.put("type", "function");
    if (!call.id().isEmpty()) {
      fields.put("id", call.id());
    }
    fields.put("function", function);
    return fields;
  }

  static List<Map<String, Object>> tools(Chat chat) {
    List<Map<String, Object>> tools = new ArrayList<>();
    for (ToolDefinition tool : chat.tools()) {
      Map<String, Object> function = new LinkedHashMap<>();
      function.put("name", tool.name());
      function.put("description", tool.description());
      function.put(
          "parameters", object(tool.parameters(), "tool '" + tool.name() + "': parameters"));
      Map<String, Object> fields = new LinkedHashMap<>();
      fields.put("type", "function");
      fields.put("function", function);
      tools.add(fields);
    }
    return tools;
  }

  private static Map<String, @Nullable Object> object(String json, String where) {
    JsonNode root;
    try {
      root = JsonFile.parse(where, json.getBytes(StandardCharsets.UTF_8)).root();
    } catch (LorikeetException e) {
      throw new LorikeetException(Code.INVALID_REQUEST, e.getMessage(), e);
    }
    return object(root, where);
  }

  private static Map<String, @Nullable Object> object(JsonNode node, String where) {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : node.properties()) {
      map.put(field.getKey(), plain(field.getValue(), where));
    }
    return map;
  }

  private static @Nullable Object plain(JsonNode node, String where) {
    return switch (node.getNodeType()) {
      case OBJECT -> object(node, where);
      case ARRAY -> {
        List<@Nullable Object> list = new ArrayList<>();
        for (JsonNode item : node) {
          list.add(plain(item, where));
        }
        yield list;
      }
      case STRING -> node.textValue();
      case BOOLEAN -> node.booleanValue();
      case NULL -> null;
      default -> number(node, where);
    };
  }

  private static Object number(JsonNode node, String where) {
    if (node.isIntegralNumber() && node.canConvertToLong()) {
      return node.longValue();
    }
    double value = node.doubleValue();
    if (node.isIntegralNumber() || !Double.isFinite(value)) {
      throw new LorikeetException(
          Code.INVALID_REQUEST,
          where + ": expected integers of 64 bits and numbers of double precision, found " + node);
    }
    return value;
  }
}
