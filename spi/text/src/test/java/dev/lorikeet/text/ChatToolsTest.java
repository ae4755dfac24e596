package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import dev.lorikeet.model.Prompt.ToolCall;
import dev.lorikeet.model.Prompt.ToolDefinition;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tools and their calls, in templates shaped as those of well-known models. */
class ChatToolsTest {
  /** Tools in the system turn, calls and answers between tags, as Qwen2.5 has them. */
  private static final String TAGGED =
      """
      {%- if tools %}
          {{- '<|im_start|>system\\n' }}
          {%- if messages[0].role == 'system' %}
              {{- messages[0].content + '\\n' }}
          {%- endif %}
          {{- '<tools>' }}
          {%- for tool in tools %}
              {{- '\\n' }}
              {{- tool | tojson }}
          {%- endfor %}
          {{- '\\n</tools><|im_end|>\\n' }}
      {%- elif messages[0].role == 'system' %}
          {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
      {%- endif %}
      {%- for message in messages %}
          {%- if message.role == 'user' or (message.role == 'assistant' and not message.tool_calls) %}
              {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
          {%- elif message.role == 'assistant' %}
              {{- '<|im_start|>' + message.role }}
              {%- if message.content %}
                  {{- '\\n' + message.content }}
              {%- endif %}
              {%- for tool_call in message.tool_calls %}
                  {%- if tool_call.function is defined %}
                      {%- set tool_call = tool_call.function %}
                  {%- endif %}
                  {{- '\\n<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
                  {{- tool_call.arguments | tojson }}
                  {{- '}\\n</tool_call>' }}
              {%- endfor %}
              {{- '<|im_end|>\\n' }}
          {%- elif message.role == 'tool' %}
              {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' %}
                  {{- '<|im_start|>user' }}
              {%- endif %}
              {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
              {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
                  {{- '<|im_end|>\\n' }}
              {%- endif %}
          {%- endif %}
      {%- endfor %}
      {%- if add_generation_prompt %}
          {{- '<|im_start|>assistant\\n' }}
      {%- endif %}
      """;

  /** Tools in the first user turn, one call as JSON, answers of ipython, as Llama 3.1 has them. */
  private static final String HEADED =
      """
      {%- if not tools is defined %}
          {%- set tools = none %}
      {%- endif %}
      {%- for message in messages %}
          {%- if message.role == 'user' and loop.first and tools is not none %}
              {{- '[user]' }}
              {%- for t in tools %}
                  {{- t | tojson(indent=4) }}
                  {{- '\\n\\n' }}
              {%- endfor %}
              {{- message.content + '[end]' }}
          {%- elif not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
              {{- '[' + message['role'] + ']' + message['content'] | trim + '[end]' }}
          {%- elif 'tool_calls' in message %}
              {%- if not message.tool_calls|length == 1 %}
                  {{- raise_exception('one tool call at a time') }}
              {%- endif %}
              {%- set tool_call = message.tool_calls[0].function %}
              {{- '[assistant]{"name": "' + tool_call.name + '", "parameters": ' }}
              {{- tool_call.arguments | tojson }}
              {{- '}[end]' }}
          {%- else %}
              {{- '[ipython]' }}
              {%- if message.content is mapping or message.content is iterable %}
                  {{- message.content | tojson }}
              {%- else %}
                  {{- message.content }}
              {%- endif %}
              {{- '[end]' }}
          {%- endif %}
      {%- endfor %}
      """;

  private static final ToolDefinition WEATHER =
      new ToolDefinition(
          "weather",
          "Tells the weather, été & hiver.",
          """
          {"type": "object", "required": ["city"],
           "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": null},
                          "share": {"maximum": 1.0, "minimum": -2}}}
          """);

  private static final String WEATHER_JSON =
      "{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"Tells the"
          + " weather, été & hiver.\", \"parameters\": {\"type\": \"object\", \"required\":"
          + " [\"city\"], \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\":"
          + " \"integer\", \"default\": null}, \"share\": {\"maximum\": 1.0, \"minimum\": -2}}}}}";

  private static final ToolDefinition CLOCK = new ToolDefinition("clock", "", "{}");

  @TempDir Path directory;

  private String render(String template, Chat chat) {
    return render(template, chat, false);
  }

  private String render(String template, Chat chat, boolean prompt) {
    try {
      Files.writeString(directory.resolve("chat_template.jinja"), template);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
    return ChatTemplate.read(directory).orElseThrow().render(chat, prompt);
  }

  @Test
  void toolsAndCallsAndAnswersBetweenTags() {
    Chat chat =
        Chat.of(
                ChatMessage.system("Be brief."),
                ChatMessage.user("Oslo?"),
                ChatMessage.assistant(
                    "",
                    List.of(
                        new ToolCall("1", "weather", "{\"city\":\"Oslo\", \"days\":[1,2]}"),
                        new ToolCall("2", "clock", "{ }"))),
                ChatMessage.tool("1", "weather", "rain"),
                ChatMessage.tool("2", "clock", "noon"),
                ChatMessage.assistant("Rain."),
                ChatMessage.user("Bergen?"),
                ChatMessage.assistant(
                    "Let me see.", List.of(new ToolCall("3", "weather", "{\"city\": \"Bergen\"}"))),
                ChatMessage.tool("3", "weather", "rain"))
            .withTools(List.of(WEATHER, CLOCK));
    assertEquals(
        """
        <|im_start|>system
        Be brief.
        <tools>
        %s
        {"type": "function", "function": {"name": "clock", "description": "", "parameters": {}}}
        </tools><|im_end|>
        <|im_start|>user
        Oslo?<|im_end|>
        <|im_start|>assistant
        <tool_call>
        {"name": "weather", "arguments": {"city": "Oslo", "days": [1, 2]}}
        </tool_call>
        <tool_call>
        {"name": "clock", "arguments": {}}
        </tool_call><|im_end|>
        <|im_start|>user
        <tool_response>
        rain
        </tool_response>
        <tool_response>
        noon
        </tool_response><|im_end|>
        <|im_start|>assistant
        Rain.<|im_end|>
        <|im_start|>user
        Bergen?<|im_end|>
        <|im_start|>assistant
        Let me see.
        <tool_call>
        {"name": "weather", "arguments": {"city": "Bergen"}}
        </tool_call><|im_end|>
        <|im_start|>user
        <tool_response>
        rain
        </tool_response><|im_end|>
        <|im_start|>assistant
        """
            .formatted(WEATHER_JSON),
        render(TAGGED, chat, true));
  }

  @Test
  void withoutToolsTheSameTemplateSpeaksOfNone() {
    Chat chat = Chat.of(ChatMessage.system("Be brief."), ChatMessage.user("Oslo?"));
    assertEquals(
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nOslo?<|im_end|>\n",
        render(TAGGED, chat));
  }

  @Test
  void toolsInTheUserTurnAndOneCallAtATime() {
    Chat chat =
        Chat.of(
                ChatMessage.user("Time?"),
                ChatMessage.assistant(
                    "", List.of(new ToolCall("", "clock", "{\"zone\": \"UTC\"}"))),
                ChatMessage.tool("", "clock", "noon"),
                ChatMessage.assistant(" Noon. "))
            .withTools(List.of(CLOCK));
    assertEquals(
        """
        [user]{
            "type": "function",
            "function": {
                "name": "clock",
                "description": "",
                "parameters": {}
            }
        }

        Time?[end][assistant]{"name": "clock", "parameters": {"zone": "UTC"}}[end]\
        [ipython]"noon"[end][assistant]Noon.[end]\
        """,
        render(HEADED, chat));

    ToolCall call = new ToolCall("", "clock", "{}");
    Chat two = Chat.of(ChatMessage.assistant("", List.of(call, call)));
    var error = assertThrows(LorikeetException.class, () -> render(HEADED, two));
    assertEquals(Code.INVALID_REQUEST, error.code());
    assertTrue(String.valueOf(error.getMessage()).contains("one tool call at a time"));
  }

  @Test
  void aTemplateSeesTheKeysThatHuggingFaceHas() {
    Chat chat =
        Chat.of(
            ChatMessage.user("Time?"),
            ChatMessage.assistant("", List.of(new ToolCall("x1", "clock", "{}"))),
            ChatMessage.assistant("", List.of(new ToolCall("", "clock", "{}"))),
            ChatMessage.tool("x1", "clock", "noon"));
    assertEquals(
        """
        {"role": "user", "content": "Time?"}
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "id": "x1", "function": {"name": "clock", "arguments": {}}}]}
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "clock", "arguments": {}}}]}
        {"role": "tool", "content": "noon", "tool_call_id": "x1", "name": "clock"}
        True\
        """,
        render("{% for m in messages %}{{ m | tojson }}\n{% endfor %}{{ tools is none }}", chat));
  }

  @Test
  void aTemplateThatKnowsNoToolsLeavesThemOut() {
    Chat chat = Chat.of(ChatMessage.user("Time?")).withTools(List.of(WEATHER));
    assertEquals("[Time?]", render("{% for m in messages %}[{{ m.content }}]{% endfor %}", chat));
  }

  @Test
  void theTemplateNamedForToolsIsTakenForConversationsWithTools() throws IOException {
    Files.writeString(
        directory.resolve("tokenizer_config.json"),
        """
        {"chat_template": [{"name": "default", "template": "no tools"},
                           {"name": "tool_use", "template": "{{ tools[0].function.name }}"}]}
        """);
    ChatTemplate template = ChatTemplate.read(directory).orElseThrow();
    Chat chat = Chat.of(ChatMessage.user("Time?"));
    assertEquals("no tools", template.render(chat, false));
    assertEquals("clock", template.render(chat.withTools(List.of(CLOCK)), false));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[1]",
        "\"text\"",
        "{",
        "{} {}",
        "{'city': 1}",
        "{\"city\": }",
        "{\"city\": 1, \"city\": 2}",
        "{\"city\": NaN}",
        "{\"city\": 1e999}",
        "{\"city\": 123456789012345678901234567890}"
      })
  void textThatIsNoJsonObjectIsTheRequestsFault(String text) {
    Chat call = Chat.of(ChatMessage.assistant("", List.of(new ToolCall("", "clock", text))));
    Chat tool =
        Chat.of(ChatMessage.user("")).withTools(List.of(new ToolDefinition("clock", "", text)));
    var wrongCall = assertThrows(LorikeetException.class, () -> render(TAGGED, call));
    assertEquals(Code.INVALID_REQUEST, wrongCall.code());
    String message = String.valueOf(wrongCall.getMessage());
    assertTrue(message.contains("messages[0].toolCalls[0].arguments"), message);
    var wrongTool = assertThrows(LorikeetException.class, () -> render(TAGGED, tool));
    assertEquals(Code.INVALID_REQUEST, wrongTool.code());
    message = String.valueOf(wrongTool.getMessage());
    assertTrue(message.contains("tool 'clock': parameters"), message);
  }
}
