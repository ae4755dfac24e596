package dev.lorikeet.jlama.gguf;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The random models of the families as GGUF files: their logits are those of the directories, bit
 * for bit, with PEFT adapters and with the same adapters as GGUF files, and those of transformers.
 */
class GgufFamiliesTest {
  private static final Path FAMILIES = Path.of("src/test/resources/dev/lorikeet/jlama/families");
  private static final ObjectMapper JSON = new ObjectMapper();

  /** As for the directories. */
  private static final double TOLERANCE = 2e-5;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gemma",
        "gemma2",
        "gemma3",
        "gpt2",
        "granite",
        "llama",
        "llama-tied-bias",
        "mistral-window",
        "mixtral",
        "olmo2",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3-moe",
        "smollm3",
        "starcoder2"
      })
  void logitsAreThoseOfTheDirectory(String family) throws IOException {
    Path source = FAMILIES.resolve(family);
    Path model = folder.resolve("model");
    GgufConversion.copy(source, model);
    boolean changed = family.equals("smollm3");
    if (changed) { // files have no key for the layers that do not rotate: every fourth
      ObjectNode config = (ObjectNode) JSON.readTree(model.resolve("config.json").toFile());
      config.remove("no_rope_layers");
      Files.write(
          model.resolve("config.json"),
          JSON.writeValueAsBytes(config.put("no_rope_layer_interval", 4)));
    }
    Path file = folder.resolve(family + ".gguf");
    GgufConversion.model(model, file, GgufConversion.matricesIn(ElementType.F32));
    boolean experts = family.startsWith("mixtral") || family.endsWith("moe");
    Path adapter = source.resolve("adapters").resolve(experts ? "attn" : "all");
    Path ggufAdapter = folder.resolve("adapter.gguf");
    GgufConversion.adapter(model, adapter, ggufAdapter);
    try (Lorikeet directory = Logits.open(model);
        Lorikeet gguf = Logits.open(file)) {
      assertEquals(directory.model().info().shape(), gguf.model().info().shape());
      assertEquals(directory.model().info().eosTokens(), gguf.model().info().eosTokens());
      assertEquals(directory.model().info().maxPositions(), gguf.model().info().maxPositions());
      directory.register("peft", adapter);
      directory.register("gguf", ggufAdapter);
      gguf.register("peft", adapter);
      gguf.register("gguf", ggufAdapter);
      int adapted = 0;
      for (JsonNode reference : JSON.readTree(source.resolve("cases.json").toFile())) {
        List<Integer> ids = new ArrayList<>();
        reference.path("ids").forEach(id -> ids.add(id.asInt()));
        String name = reference.path("adapter").asText("");
        boolean base = name.isEmpty();
        if (!base && !adapter.endsWith(name)) {
          continue; // of a kind that files in this format do not hold
        }
        adapted += base ? 0 : 1;
        AdapterChoice peft = base ? new AdapterChoice.None() : new AdapterChoice.Named("peft");
        AdapterChoice other = base ? peft : new AdapterChoice.Named("gguf");
        float[] expected = Logits.of(directory, ids, peft);
        assertArrayEquals(expected, Logits.of(gguf, ids, peft), family + " " + peft);
        assertArrayEquals(expected, Logits.of(gguf, ids, other), family + " " + other);
        assertArrayEquals(expected, Logits.of(directory, ids, other), family + " " + other);
        if (!changed) {
          checkReference(reference.path("last_logits"), expected);
        }
      }
      assertTrue(adapted > 0, "no case of an adapter");
      String text = "Hello, wörld! 12";
      assertEquals(directory.model().encode(text), gguf.model().encode(text));
      assertEquals(
          directory.model().decode(directory.model().encode(text)),
          gguf.model().decode(gguf.model().encode(text)));
      assertFalse(
          Arrays.equals(new float[320], Logits.of(gguf, List.of(1, 5), new AdapterChoice.None())));
    }
  }

  private static void checkReference(JsonNode reference, float[] found) {
    double largest = 0;
    for (JsonNode logit : reference) {
      largest = Math.max(largest, Math.abs(logit.asDouble()));
    }
    assertEquals(reference.size(), found.length);
    for (int i = 0; i < found.length; i++) {
      assertEquals(reference.path(i).asDouble(), found[i], TOLERANCE * largest, "logit " + i);
    }
  }
}
