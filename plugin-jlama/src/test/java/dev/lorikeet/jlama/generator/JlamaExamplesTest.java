package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.functions.Generator;
import com.github.tjake.jlama.safetensors.prompt.Function;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import com.github.tjake.jlama.safetensors.prompt.Tool;
import com.github.tjake.jlama.safetensors.prompt.ToolCall;
import com.github.tjake.jlama.safetensors.prompt.ToolResult;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Programs as people write them against Jlama, run with Jlama's model and with Lorikeet's: nothing
 * differs but the line that loads the model.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class JlamaExamplesTest {
  /** Roles before their texts, and the tools that are offered. */
  private static final String TEMPLATE =
      """
      {{ bos_token }}{% for t in tools %}{{ t.function.name }}: {{ t.function.description }}
      {% endfor %}{% for m in messages %}{{ m.role }}: {{ m.content }}
      {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}""";

  @TempDir static Path directory;
  private static AbstractModel jlama;
  private static LorikeetGenerator lorikeet;

  @BeforeAll
  static void open() {
    Path model = JlamaModels.copy(directory.resolve("model"));
    JlamaModels.set(model.resolve("tokenizer_config.json"), "chat_template", TEMPLATE);
    jlama = JlamaModels.load(model);
    lorikeet =
        LorikeetGenerator.builder(model)
            .settings(
                settings ->
                    settings
                        .poolBytes(64L << 20)
                        .modelOption("threads", "2")
                        .modelOption("kv-type", "f32"))
            .open();
  }

  @AfterAll
  static void close() {
    lorikeet.close();
    jlama.close();
  }

  /** The example of Jlama's README. */
  private static String firstSteps(Generator model) {
    PromptContext context;
    if (model.promptSupport().isPresent()) {
      context =
          model
              .promptSupport()
              .get()
              .builder()
              .addSystemMessage("You write short answers.")
              .addUserMessage("Where does the ship go?")
              .build();
    } else {
      context = PromptContext.of("Where does the ship go?");
    }
    Generator.Response r = model.generate(UUID.randomUUID(), context, 0.0f, 100, (s, f) -> {});
    return context.getPrompt() + r.responseText;
  }

  @Test
  void firstStepsGiveWhatJlamaGives() {
    String expected = firstSteps(jlama);
    assertTrue(expected.startsWith("system: You write short answers.\n"), expected);
    assertEquals(expected, firstSteps(lorikeet));
  }

  /** The same by the builder, streaming. */
  private static List<String> built(Generator model) {
    List<String> pieces = new ArrayList<>();
    Generator.Response response =
        model
            .generateBuilder()
            .session(UUID.randomUUID().toString())
            .prompt("The ship")
            .ntokens(40)
            .temperature(0.0f)
            .onTokenWithTimings((piece, millis) -> pieces.add(piece))
            .generate();
    assertEquals(response.responseText, String.join("", pieces));
    return pieces;
  }

  @Test
  void theBuilderStreamsWhatJlamaStreams() {
    assertEquals(built(jlama), built(lorikeet));
    assertFalse(lorikeet.generateBuilder().prompt("The ship").generate().responseText.isEmpty());
  }

  /** As Jlama's command line chats: one session, and of each turn only what is new. */
  @Test
  void aConversationContinuesItsSession() {
    PromptSupport support = lorikeet.promptSupport().orElseThrow();
    UUID session = UUID.randomUUID();
    PromptSupport.Builder builder = support.builder().addSystemMessage("You tell of the sea.");
    List<String> answers = new ArrayList<>();
    for (int turn = 0; turn < 3; turn++) {
      PromptContext prompt = builder.addUserMessage("The ship?").build();
      answers.add(
          lorikeet.generate(session, prompt, 0f, 100 * (turn + 1), (t, f) -> {}).responseText);
      builder = support.builder().stripPreamble();
    }
    assertEquals(3, answers.stream().filter(answer -> !answer.isEmpty()).count());
  }

  private static String promptsWithTools(Generator model) {
    Tool tool =
        Tool.from(
            Function.builder()
                .name("get_temperature")
                .description("Tells the temperature at a place.")
                .addParameter("location", "string", "The place.", true)
                .addParameter("unit", "string", "celsius or fahrenheit.", false)
                .build());
    PromptSupport.Builder builder = model.promptSupport().orElseThrow().builder();
    builder.addUserMessage("How warm is the sea?").addGenerationPrompt(true);
    PromptContext first = builder.build(tool);
    Generator.Response response = model.generate(UUID.randomUUID(), first, 0.0f, 120, (l, f) -> {});
    ToolCall call = new ToolCall("get_temperature", "000000000", Map.of("location", "the sea"));
    builder.addToolCall(call).addToolResult(ToolResult.from(call.getName(), call.getId(), 20f));
    PromptContext second = builder.build();
    return first.getPrompt()
        + response.responseText
        + response.finishReason
        + second.getPrompt()
        + model.generate(UUID.randomUUID(), second, 0.0f, 160, (l, f) -> {}).responseText;
  }

  @Test
  void promptsWithToolsAreJlamas() {
    String expected = promptsWithTools(jlama);
    assertTrue(expected.contains("get_temperature: Tells the temperature"), expected);
    assertEquals(expected, promptsWithTools(lorikeet));
  }

  /**
   * How LangChain4j's chat models use what they load: a session for each call, all of the context.
   */
  private static String langChain4j(Generator model, List<String> partial) throws IOException {
    int maxTokens = Math.min(model.getConfig().contextLength, 150);
    PromptSupport.Builder builder = model.promptSupport().orElseThrow().builder();
    builder.addSystemMessage("You tell of the sea.");
    builder.addUserMessage("The ship?");
    builder.addAssistantMessage("It sails.");
    builder.addUserMessage("And the whale?");
    PromptContext context = builder.build();
    Generator.Response r =
        model.generate(
            UUID.randomUUID(), context, 0f, maxTokens, (token, time) -> partial.add(token));
    assertEquals(r.responseText, String.join("", partial));
    return r.finishReason + " " + r.promptTokens + " " + r.generatedTokens + " " + r.responseText;
  }

  @Test
  void langChain4jsWayGivesWhatJlamaGives() throws IOException {
    List<String> expected = new ArrayList<>();
    List<String> found = new ArrayList<>();
    assertEquals(langChain4j(jlama, expected), langChain4j(lorikeet, found));
    assertEquals(expected, found);
  }

  @Test
  void langChain4jsDefaultsServe() {
    Generator.Response response =
        lorikeet.generate(
            UUID.randomUUID(),
            lorikeet.promptSupport().orElseThrow().builder().addUserMessage("The ship?").build(),
            0.3f,
            lorikeet.getConfig().contextLength,
            (token, time) -> {});
    assertFalse(response.responseText.isEmpty());
    assertTrue(
        response.promptTokens + response.generatedTokens <= lorikeet.getConfig().contextLength,
        response.toString());
  }
}
