package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.files.model.WeightFiles;
import dev.lorikeet.files.safetensors.SafetensorsWriter;
import dev.lorikeet.files.safetensors.StoredTensor;
import dev.lorikeet.files.safetensors.StoredType;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Prompt;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Language models within other checkpoints, and tensors whose names lack their beginning. */
class NestedModelTest {
  private static final Path FAMILIES = Path.of("src/test/resources/dev/lorikeet/jlama/families");
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final List<Integer> PROMPT = List.of(1, 40, 77, 114, 151, 188, 3, 9, 27, 81, 243);

  @TempDir Path directory;

  private static List<Double> scores(Path model) {
    try (Lorikeet lorikeet = Lorikeet.builder(model).poolBytes(16L << 20).open()) {
      return lorikeet.score(new Prompt.Tokens(PROMPT), new AdapterChoice.None()).logProbabilities();
    }
  }

  /** Copies a model with tensors of other names, and one more. */
  private void rename(Path model, UnaryOperator<String> names, String further) throws IOException {
    for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.resolve(file), directory.resolve(file));
    }
    try (Arena arena = Arena.ofConfined()) {
      SafetensorsWriter writer = new SafetensorsWriter();
      for (StoredTensor tensor : WeightFiles.map(model, arena).values()) {
        writer.add(
            names.apply(tensor.name()),
            tensor.type(),
            tensor.shape(),
            output -> output.write(tensor.bytes()));
      }
      if (!further.isEmpty()) {
        writer.add(further, StoredType.F32, List.of(1L), output -> output.write(arena.allocate(4)));
      }
      writer.write(directory.resolve("model.safetensors"));
    }
  }

  private void nestConfig() throws IOException {
    Path file = directory.resolve("config.json");
    ObjectNode text = (ObjectNode) JSON.readTree(file.toFile());
    ObjectNode whole = JSON.createObjectNode().put("model_type", "gemma3");
    whole.set("text_config", text);
    JSON.writeValue(file.toFile(), whole);
  }

  @ParameterizedTest
  @CsvSource({
    "language_model.model.,vision_tower.patch.weight",
    "model.language_model.,model.vision_tower.patch.weight"
  })
  void aMultimodalCheckpointGivesItsLanguageModel(String prefix, String further)
      throws IOException {
    Path gemma = FAMILIES.resolve("gemma3");
    rename(gemma, name -> prefix + name.substring("model.".length()), further);
    nestConfig();
    assertEquals(scores(gemma), scores(directory));
  }

  @Test
  void namesOfGpt2MayLackTheirBeginning() throws IOException {
    Path gpt2 = FAMILIES.resolve("gpt2");
    rename(gpt2, name -> name.substring("transformer.".length()), "h.0.attn.masked_bias");
    assertEquals(scores(gpt2), scores(directory));
  }

  @Test
  void whatIsBesideALanguageModelIsRefusedInOneThatIsNotNested() throws IOException {
    rename(FAMILIES.resolve("gemma3"), name -> name, "vision_tower.patch.weight");
    LorikeetException e = assertThrows(LorikeetException.class, () -> scores(directory));
    assertEquals(Code.MODEL_INVALID, e.code());
    assertTrue(String.valueOf(e.getMessage()).contains("vision_tower"), e.getMessage());
  }
}
