package dev.lorikeet.jlama.quantize;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.weights.JlamaForward;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class QuantizerTest {
  private static final long SEED = 20260102;

  @TempDir Path directory;

  private List<String> names() throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @Test
  void aQuantizedModelIsWhatJlamaMakesAndGeneratesWhatJlamaGenerates() throws IOException {
    Path jlamas = RandomModel.llama(SEED).writeQ4(directory.resolve("jlama"));
    Path source = directory.resolve("jlama-source");
    Path target = directory.resolve("mine");
    ModelInfo info = Quantizer.quantize(source, target, false);
    assertEquals("Q4", info.weightType());
    assertEquals(target, info.directory());
    for (String file : List.of("model.safetensors", "config.json", "tokenizer.json")) {
      assertEquals(-1, Files.mismatch(jlamas.resolve(file), target.resolve(file)), file);
    }
    assertEquals(List.of("jlama", "jlama-source", "mine"), names());

    List<Integer> tokens = new ArrayList<>(List.of(1, 17, 300, 2040, 5));
    try (JlamaForward jlama = JlamaForward.open(target);
        Lorikeet lorikeet =
            Lorikeet.builder(target)
                .poolBytes(8 << 20)
                .modelOption("threads", "1")
                .modelOption("kv-type", "f32")
                .open()) {
      List<Integer> found =
          lorikeet
              .submit(
                  GenerationRequest.tokens(List.copyOf(tokens))
                      .stop(StopConditions.maxTokens(8).ignoringEos())
                      .build())
              .await()
              .tokens();
      List<Integer> expected = new ArrayList<>();
      for (int i = 0; i < 8; i++) {
        float[] logits = jlama.lastLogits(tokens.stream().mapToInt(Integer::intValue).toArray());
        int best = 0;
        for (int id = 1; id < logits.length; id++) {
          best = logits[id] > logits[best] ? id : best;
        }
        expected.add(best);
        tokens.add(best);
      }
      assertEquals(expected, found);
    }
  }

  @Test
  void familiesTypesAndShardsQuantize() throws IOException {
    for (RandomModel model :
        List.of(
            RandomModel.qwen2(SEED).type(ElementType.BF16).tied(),
            RandomModel.mistral(SEED).type(ElementType.F16).shards(3))) {
      Path source = model.write(Files.createTempDirectory(directory, "model"));
      ModelInfo info = Quantizer.quantize(source, Quantizer.defaultTarget(source), false);
      assertEquals(source + "-JQ4", info.directory().toString());
      assertEquals("Q4", info.weightType());
    }
  }

  @Test
  void whatBelongsToTheModelComesAlongAndAReadmeIsNotNeeded() throws IOException {
    Path source = RandomModel.llama(SEED).write(directory.resolve("model"));
    Files.delete(source.resolve("README.md"));
    Files.writeString(source.resolve("generation_config.json"), "{\"eos_token_id\": [2, 3]}");
    Files.writeString(source.resolve("chat_template.jinja"), "{{ messages[0].content }}");
    Path target = directory.resolve("quantized");
    ModelInfo info = Quantizer.quantize(source, target, false);
    assertEquals("Q4", info.weightType());
    for (String file :
        List.of("generation_config.json", "chat_template.jinja", "tokenizer_config.json")) {
      assertEquals(-1, Files.mismatch(source.resolve(file), target.resolve(file)), file);
    }
    assertEquals(List.of("model", "quantized"), names());
    assertFalse(Files.exists(source.resolve("README.md")));
  }

  @Test
  void whatIsThereIsReplacedOnlyIfAskedFor() throws IOException {
    Path source = RandomModel.llama(SEED).write(directory.resolve("model"));
    Path target = RandomModel.qwen2(SEED).write(directory.resolve("target"));
    assertThrows(FileAlreadyExistsException.class, () -> Quantizer.quantize(source, target, false));
    assertTrue(Files.readString(target.resolve("config.json")).contains("qwen2"));
    assertEquals("llama", Quantizer.quantize(source, target, true).family());
    assertEquals(List.of("model", "target"), names());
  }

  @Test
  void onlyAModelDirectoryApartFromTheSourceGivesWay() throws IOException {
    Path source = RandomModel.llama(SEED).write(directory.resolve("model"));
    Path letters = Files.createDirectories(directory.resolve("letters"));
    Files.writeString(letters.resolve("one.txt"), "Dear");
    for (Path target : List.of(letters, source, source.resolve("inside"), directory)) {
      assertThrows(
          IllegalArgumentException.class,
          () -> Quantizer.quantize(source, target, true),
          target.toString());
    }
    assertEquals(List.of("letters", "model"), names());
    assertTrue(Files.exists(letters.resolve("one.txt")));
  }

  @Test
  void whatCannotBeQuantizedIsNamedAndLeavesNothing() throws IOException {
    Path narrow = RandomModel.llama(SEED).widths(128, 200).write(directory.resolve("narrow"));
    Path quantized = RandomModel.llama(SEED).writeQ4(directory.resolve("quantized"));
    Path damaged = RandomModel.llama(SEED).write(directory.resolve("damaged"));
    Files.writeString(damaged.resolve("model.safetensors"), "nothing of the kind");
    List<String> before = names();
    assertRefused(Code.MODEL_UNSUPPORTED, "intermediate size", narrow);
    assertRefused(Code.MODEL_UNSUPPORTED, "found Q4", quantized);
    assertRefused(Code.MODEL_INVALID, "model.safetensors", damaged);
    assertEquals(before, names());
  }

  private void assertRefused(Code code, String part, Path source) {
    LorikeetException failure =
        assertThrows(
            LorikeetException.class,
            () -> Quantizer.quantize(source, directory.resolve("target"), false));
    assertEquals(code, failure.code(), failure.getMessage());
    assertTrue(failure.getMessage().contains(part), failure.getMessage());
  }
}
