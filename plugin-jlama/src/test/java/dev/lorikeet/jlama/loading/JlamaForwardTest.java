package dev.lorikeet.jlama.loading;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
}
