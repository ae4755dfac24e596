package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import com.github.tjake.jlama.model.functions.Generator.FinishReason;
import com.github.tjake.jlama.model.functions.Generator.Response;
import com.github.tjake.jlama.model.llama.LlamaConfig;
import com.github.tjake.jlama.model.llama.LlamaModel;
import com.github.tjake.jlama.model.llama.LlamaTokenizer;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.safetensors.prompt.Function;
import com.github.tjake.jlama.safetensors.prompt.PromptContext;
import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import com.github.tjake.jlama.safetensors.prompt.Tool;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import com.github.tjake.jlama.util.JsonSupport;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ToolCallsTest {
  private static final String CALL =
      "{\"name\": \"get_temperature\", \"parameters\": {\"location\": \"Paris\", \"days\": 2}}";
  private static final String SAME =
      "{\"name\": \"get_temperature\", \"arguments\": {\"location\": \"Paris\", \"days\": 2}}";
  private static final String OTHER = "{\"name\": \"a_tool\", \"parameters\": {}}";

  @TempDir Path directory;
  private Path model = Path.of("");
  private TokenizerModel tokenizer = emptyTokenizer();

  private static TokenizerModel emptyTokenizer() {
    return new TokenizerModel("BPE", "<unk>", false, false, Map.of(), false, List.of());
  }

  @BeforeEach
  void template() {
    model = JlamaModels.copy(directory.resolve("model"));
    JlamaModels.set(
        model.resolve("tokenizer_config.json"),
        "chat_template",
        "{% for m in messages %}{{ m.content }}{% endfor %}{% for t in tools %}{{ t.name }}{% endfor %}");
    tokenizer = ModelFiles.tokenizer(model);
  }

  private PromptContext prompt() {
    Tool tool =
        Tool.from(
            Function.builder()
                .name("get_temperature")
                .description("The temperature at a place.")
                .addParameter("location", "string", "The place.", true)
                .build());
    return new PromptSupport(tokenizer).builder().addUserMessage("How warm?").build(tool);
  }

  private static Response response(String text, FinishReason reason) {
    return new Response(text, text, reason, 3, 4, 5, 6);
  }

  /** Jlama's own reading of a response, which is for its models alone. */
  private static final class Jlama extends LlamaModel {
    Jlama(Config config, WeightLoader weights, Tokenizer tokenizer) {
      super(
          InferenceType.INPUT_TO_EMBEDDING,
          config,
          weights,
          tokenizer,
          DType.F32,
          DType.F32,
          Optional.empty());
    }

    Response read(PromptContext prompt, Response response) {
      return postProcessResponse(prompt, response);
    }
  }

  @Test
  void callsAreFoundWhereJlamaFindsThem() throws Exception {
    PromptContext prompt = prompt();
    Config config =
        JsonSupport.om.readValue(model.resolve("config.json").toFile(), LlamaConfig.class);
    try (WeightLoader weights = SafeTensorSupport.loadWeights(model.toFile());
        Jlama jlama = new Jlama(config, weights, new LlamaTokenizer(model))) {
      for (String text :
          List.of(
              CALL,
              "I shall look. " + CALL + " That is all.",
              CALL + "; " + OTHER + "; " + SAME,
              "[" + CALL + ", " + OTHER + "]",
              "no call",
              "get_temperature without one",
              OTHER + " alone",
              "{\"name\": \"get_temperature\"",
              "[1, 2] get_temperature")) {
        for (FinishReason reason : List.of(FinishReason.STOP_TOKEN, FinishReason.MAX_TOKENS)) {
          Response expected = jlama.read(prompt, response(text, reason));
          Response found = ToolCalls.find(prompt, tokenizer, response(text, reason));
          assertEquals(expected.finishReason, found.finishReason, text);
          assertEquals(expected.toolCalls, found.toolCalls, text);
          for (int i = 0; i < expected.toolCalls.size(); i++) {
            assertEquals(expected.toolCalls.get(i).getId(), found.toolCalls.get(i).getId(), text);
          }
        }
      }
    }
  }

  @Test
  void aCallCarriesItsParametersAndAnId() {
    Response found =
        ToolCalls.find(prompt(), tokenizer, response(OTHER + CALL, FinishReason.STOP_TOKEN));
    assertEquals(FinishReason.TOOL_CALL, found.finishReason);
    assertEquals(
        List.of("000000000 a_tool {}", "000000001 get_temperature {location=Paris, days=2}"),
        found.toolCalls.stream()
            .map(call -> call.getId() + " " + call.getName() + " " + call.getParameters())
            .toList());
  }

  @Test
  void whatIsNoCallLeavesTheResponse() {
    for (String text : List.of("get_temperature {}", "get_temperature [null]")) {
      Response response = response(text, FinishReason.STOP_TOKEN);
      assertSame(response, ToolCalls.find(prompt(), tokenizer, response), text);
    }
    Response call = response(CALL, FinishReason.STOP_TOKEN);
    assertSame(call, ToolCalls.find(PromptContext.of("How warm?"), tokenizer, call));
    assertSame(call, ToolCalls.find(prompt(), emptyTokenizer(), call));
  }
}
