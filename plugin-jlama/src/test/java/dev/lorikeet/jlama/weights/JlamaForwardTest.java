package dev.lorikeet.jlama.weights;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JlamaForwardTest {
  @TempDir Path directory;

  @Test
  void jlamaAgreesWithTheTinyModelsReferenceLogits() throws IOException {
    TinyModel tiny = TinyModel.extract(directory);
    JsonNode reference = new ObjectMapper().readTree(tiny.reference().toFile());
    int compared = 0;
    try (JlamaForward jlama = JlamaForward.open(tiny.base())) {
      for (JsonNode entry : reference) {
        if (!entry.path("adapter").isNull()) {
          continue;
        }
        compared++;
        List<Integer> ids = new ArrayList<>();
        entry.path("prompt_ids").forEach(id -> ids.add(id.intValue()));
        float[] logits = jlama.lastLogits(ids.stream().mapToInt(Integer::intValue).toArray());
        assertEquals(entry.path("last_logits").size(), logits.length);
        double largest = 0;
        double worst = 0;
        for (int i = 0; i < logits.length; i++) {
          double expected = entry.path("last_logits").get(i).doubleValue();
          largest = Math.max(largest, Math.abs(expected));
          worst = Math.max(worst, Math.abs(expected - logits[i]));
        }
        assertTrue(worst <= 1e-5 * largest, entry.path("prompt") + ": " + worst / largest);
      }
    }
    assertEquals(4, compared);
  }

  /**
   * Jlama knows no biases of Llama, no heads together wider than the residual stream, no scaling
   * but linear, no window.
   */
  private static final Set<String> BEYOND_JLAMA =
      Set.of(
          "llama-attention-bias",
          "llama-head-dim",
          "llama-llama3",
          "llama-mlp-bias",
          "llama-rope-parameters",
          "llama-yarn",
          "mistral-head-dim",
          "mistral-window",
          "qwen2-yarn");

  @Test
  void jlamaAgreesWithTransformersOnAllThatItKnows() {
    for (var model : ReferenceModels.all().entrySet()) {
      if (!BEYOND_JLAMA.contains(model.getKey())) {
        Path written = model.getValue().write(directory.resolve(model.getKey()));
        var reference = ReferenceModels.reference(model.getKey());
        try (JlamaForward jlama = JlamaForward.open(written)) {
          double worst = reference.worst(jlama.lastLogits(reference.tokenArray()));
          assertTrue(worst <= 1e-5, model.getKey() + ": " + worst);
        }
      }
    }
  }
}
