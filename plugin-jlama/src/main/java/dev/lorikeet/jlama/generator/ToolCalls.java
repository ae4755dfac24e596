package dev.lorikeet.jlama.generator;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JavaType;
import com.github.tjake.jlama.model.functions.Generator.FinishReason;
import com.github.tjake.jlama.model.functions.Generator.Response;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import com.github.tjake.jlama.safetensors.prompt.Tool;
import com.github.tjake.jlama.safetensors.prompt.ToolCall;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import com.github.tjake.jlama.util.JsonSupport;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * Finds calls of tools in what a model wrote, as Jlama's models do: where the chat template knows
 * tools, the prompt offered some, the model ended by itself and named one of them, the JSON objects
 * in its text are the calls.
 */
final class ToolCalls {
  private static final JavaType LIST =
      JsonSupport.om.getTypeFactory().constructCollectionType(List.class, ToolCall.class);

  private ToolCalls() {}

  /**
   * Returns the response with the calls and {@code TOOL_CALL} for its reason, or the response
   * itself where it has none or they cannot be read.
   */
  static Response find(PromptContext prompt, TokenizerModel tokenizer, Response response) {
    if (response.finishReason != FinishReason.STOP_TOKEN
        || !tokenizer.hasToolSupport()
        || !namesOne(prompt.getTools().orElse(List.of()), response.responseTextWithSpecialTokens)) {
      return response;
    }
    List<ToolCall> calls = new ArrayList<>();
    try {
      for (String json : JsonSupport.extractJsonFromString(response.responseText)) {
        if (json.startsWith("[")) {
          calls.addAll(JsonSupport.om.<List<ToolCall>>readValue(json, LIST));
        } else {
          calls.add(JsonSupport.om.readValue(json, ToolCall.class));
        }
      }
    } catch (JsonProcessingException notCalls) {
      return response;
    }
    if (calls.isEmpty()
        || calls.stream().anyMatch(call -> call == null || call.getName() == null)) {
      return response;
    }
    List<ToolCall> distinct =
        calls.stream().distinct().sorted(Comparator.comparing(ToolCall::getName)).toList();
    for (int i = 0; i < distinct.size(); i++) {
      distinct.get(i).setId(String.format(Locale.ROOT, "%09d", i));
    }
    return response.copyWithToolCalls(distinct);
  }

  private static boolean namesOne(List<Tool> tools, String text) {
    return tools.stream().anyMatch(tool -> text.contains(tool.getFunction().getName()));
  }
}
