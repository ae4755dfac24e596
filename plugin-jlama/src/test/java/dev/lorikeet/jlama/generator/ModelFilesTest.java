package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.llama.LlamaConfig;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.prompt.PromptSupport;
import com.github.tjake.jlama.safetensors.tokenizer.TokenizerModel;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.jlama.JlamaModelProvider;
import dev.lorikeet.shape.ModelInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelFilesTest {
  private static final String TEMPLATE =
      "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}";

  @TempDir Path directory;
  private Path model = Path.of("");

  @BeforeEach
  void copy() {
    model = JlamaModels.copy(directory.resolve("model"));
  }

  @Test
  void configurationsAreJlamasOwn() {
    Config config = ModelFiles.config(new JlamaModelProvider().describe(model), 1);
    assertEquals(LlamaConfig.class, config.getClass());
    assertEquals(1024, config.contextLength);
    assertEquals(256, config.embeddingLength);
    assertEquals(List.of(2), config.eosTokens);
    assertTrue(config.ropeFreqs.isPresent());
  }

  @Test
  void familiesThatJlamaDoesNotKnowHaveTheirSizes() {
    ModelInfo info = new JlamaModelProvider().describe(model);
    JlamaModels.set(model.resolve("config.json"), "model_type", "llama9");
    Config config = ModelFiles.config(info, 1);
    assertEquals(Config.class, config.getClass());
    assertEquals(1024, config.contextLength);
    assertEquals(256, config.embeddingLength);
    assertEquals(768, config.hiddenLength);
    assertEquals(8, config.numberOfHeads);
    assertEquals(4, config.numberOfKeyValueHeads);
    assertEquals(32, config.headSize);
    assertEquals(6, config.numberOfLayers);
    assertEquals(2048, config.vocabularySize);
    assertEquals(1, config.bosToken);
    assertEquals(List.of(2), config.eosTokens);
    assertFalse(config.ropeFreqs.isPresent());
  }

  @Test
  void aModelWithoutATemplateHasNoPromptSupport() {
    assertTrue(ModelFiles.tokenizer(model).promptTemplates().isEmpty());
  }

  @Test
  void templatesOfEitherFileRenderWithNamedTokensWrittenEitherWay() throws IOException {
    Path config = model.resolve("tokenizer_config.json");
    JlamaModels.set(config, "chat_template", TEMPLATE);
    String expected = "user: Hello</s>";
    assertEquals(expected, rendered(ModelFiles.tokenizer(model)));
    JlamaModels.set(config, "eos_token", Map.of("content", "</s>", "lstrip", false));
    assertEquals(expected, rendered(ModelFiles.tokenizer(model)));
    JlamaModels.set(config, "chat_template", "something else");
    Files.writeString(model.resolve("chat_template.jinja"), TEMPLATE);
    assertEquals(expected, rendered(ModelFiles.tokenizer(model)));
  }

  private static String rendered(TokenizerModel tokenizer) {
    return new PromptSupport(tokenizer).builder().addUserMessage("Hello").build().getPrompt();
  }

  @Test
  void whatJlamaCannotReadIsNamed() throws IOException {
    Files.writeString(model.resolve("tokenizer.json"), "{\"model\": 3}");
    LorikeetException failure =
        assertThrows(LorikeetException.class, () -> ModelFiles.tokenizer(model));
    assertEquals(LorikeetException.Code.MODEL_UNSUPPORTED, failure.code());
    assertTrue(failure.getMessage().contains("tokenizer.json"), failure.getMessage());
  }
}
