package dev.lorikeet.jlama;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** One entry of the tiny model's reference outputs, computed by PyTorch in float32. */
record ReferenceCase(
    String prompt,
    @JsonProperty("prompt_ids") List<Integer> promptIds,
    @JsonProperty("adapter") @Nullable String adapterName,
    @JsonProperty("last_logits") List<Double> lastLogits,
    @JsonProperty("greedy_ids") List<Integer> greedyIds,
    @JsonProperty("greedy_text") String greedyText) {

  static List<ReferenceCase> all(TinyModel tiny) {
    try {
      return List.of(
          new ObjectMapper().readValue(tiny.reference().toFile(), ReferenceCase[].class));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  Optional<String> adapter() {
    return Optional.ofNullable(adapterName);
  }

  double largestLogit() {
    return lastLogits.stream().mapToDouble(Math::abs).max().orElseThrow();
  }
}
