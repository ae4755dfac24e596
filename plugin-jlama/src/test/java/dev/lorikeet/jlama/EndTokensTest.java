package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.FinishReason;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.GenerationResult;
import dev.lorikeet.model.StopConditions;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Which tokens end a generation: the configuration's, the tokenizer's and the request's. */
class EndTokensTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<Integer> PROMPT = List.of(1, 300, 301, 302);
  private static final StopConditions SOME = StopConditions.maxTokens(12);

  @TempDir Path directory;
  private Path model;
  private List<Integer> usual;
  private int last;
  private String lastText;

  /** A model whose configuration names no token that ends, and what it generates without end. */
  @BeforeEach
  void write() throws IOException {
    model = TinyModel.extract(directory).base();
    edit("config.json", config -> config.remove("eos_token_id"));
    edit("tokenizer_config.json", config -> config.remove("eos_token"));
    usual = generate(SOME).tokens();
    assertEquals(12, usual.size());
    int at = 3;
    while (usual.indexOf(usual.get(at)) != at) {
      at++;
    }
    last = usual.get(at);
    JsonNode vocabulary =
        JSON.readTree(model.resolve("tokenizer.json").toFile()).at("/model/vocab");
    lastText =
        vocabulary.properties().stream()
            .filter(entry -> entry.getValue().intValue() == last)
            .map(Map.Entry::getKey)
            .findFirst()
            .orElseThrow();
  }

  private interface Edit {
    void accept(ObjectNode file);
  }

  private void edit(String name, Edit edit) throws IOException {
    Path file = model.resolve(name);
    ObjectNode json =
        Files.exists(file)
            ? (ObjectNode) JSON.readTree(Files.readString(file))
            : JSON.createObjectNode();
    edit.accept(json);
    Files.writeString(file, json.toString());
  }

  private GenerationResult generate(StopConditions stop) {
    try (Lorikeet lorikeet =
        Lorikeet.builder(model).poolBytes(16L << 20).modelOption("threads", "1").open()) {
      return lorikeet.submit(GenerationRequest.tokens(PROMPT).stop(stop).build()).await();
    }
  }

  private void expectEnd(StopConditions stop) {
    GenerationResult result = generate(stop);
    assertEquals(FinishReason.STOP_TOKEN, result.finishReason());
    assertEquals(usual.subList(0, usual.indexOf(last) + 1), result.tokens());
  }

  @Test
  void theTokenizersTokenEndsWrittenAsText() throws IOException {
    edit("tokenizer_config.json", config -> config.put("eos_token", lastText));
    expectEnd(SOME);
    assertEquals(usual, generate(SOME.ignoringEos()).tokens());
  }

  @Test
  void theTokenizersTokenEndsWrittenAsAnObject() throws IOException {
    edit(
        "tokenizer_config.json",
        config ->
            config
                .putObject("eos_token")
                .put("__type", "AddedToken")
                .put("content", lastText)
                .put("normalized", false));
    expectEnd(SOME);
  }

  @Test
  void theTokenizersTokenEndsNamedInTheMapAlone() throws IOException {
    edit("special_tokens_map.json", map -> map.putObject("eos_token").put("content", lastText));
    expectEnd(SOME);
  }

  @Test
  void aTextThatIsASpecialTokenEndsAtTheToken() throws IOException {
    edit(
        "tokenizer_config.json",
        config -> config.putArray("additional_special_tokens").add(lastText));
    assertEquals(usual, generate(SOME).tokens());
    expectEnd(SOME.withStrings(List.of(lastText)));
    expectEnd(SOME.ignoringEos().withStrings(List.of("?!?", lastText)));
  }

  @Test
  void anIdOfTheRequestEnds() {
    expectEnd(SOME.withTokens(Set.of(last)));
  }
}
