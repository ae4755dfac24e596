package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.bench.model.GgufConverter;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.process.NotAvailable;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The contenders as the benchmark runs them, each in a process of its own. */
class EnginesTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(2)
          .hidden(128)
          .intermediate(256)
          .heads(4)
          .kvHeads(2)
          .headDim(32)
          .vocabulary(1024)
          .build();
  private static final int TOKENS = 6;

  @TempDir Path directory;

  private Inputs inputs() throws IOException {
    Path model = directory.resolve("model");
    RandomWeights.writeModel(model, SHAPE, 1);
    var vocabulary = RandomWeights.vocabulary(SHAPE);
    GgufConverter.writeModel(model, SHAPE, vocabulary, false, directory.resolve("m-f16.gguf"));
    List<String> adapters = new ArrayList<>();
    for (int i = 0; i < Scenario.SEQUENCES; i++) {
      Path adapter = directory.resolve("adapter-" + i);
      RandomWeights.writeAdapter(adapter, SHAPE, 4, i);
      GgufConverter.writeAdapter(adapter, SHAPE, Path.of(adapter + ".gguf"));
      adapters.add(adapter.toString());
    }
    return new Inputs(
        model.toString(),
        adapters,
        directory.resolve("m").toString(),
        adapters.stream().map(adapter -> adapter + ".gguf").toList(),
        vocabulary,
        2);
  }

  private List<List<Integer>> ids(
      Contender contender, Map<String, String> settings, Inputs inputs, Scenario scenario)
      throws IOException, NotAvailable {
    try (RemoteEngine remote =
        RemoteEngine.start(contender, settings, inputs, directory.resolve("log"))) {
      return remote.run(scenario.workload(inputs.vocabulary(), 9, TOKENS)).ids();
    }
  }

  @Test
  void jlamaGeneratesWhatLorikeetGenerates() throws IOException, NotAvailable {
    Inputs inputs = inputs();
    Agreement agreement =
        Agreement.of(
            "jlama",
            "none",
            ids(Contender.LORIKEET, Map.of(), inputs, Scenario.EIGHT),
            ids(Contender.JLAMA, Map.of("products", "F32"), inputs, Scenario.EIGHT));
    assertTrue(agreement.same(), agreement::toString);
    assertEquals(TOKENS, agreement.tokens());
  }

  @Test
  void llamaCppGeneratesWhatLorikeetGeneratesWithAdaptersToo() throws IOException, NotAvailable {
    assumeTrue(System.getProperty("os.arch").equals("amd64"), "java-llama.cpp brings a library");
    Inputs inputs = inputs();
    Map<String, String> settings = Map.of("weights", "f16", "flash", "false");
    for (Scenario scenario : List.of(Scenario.EIGHT, Scenario.EIGHT_ADAPTERS)) {
      Agreement agreement =
          Agreement.of(
              "llama.cpp",
              scenario.title(),
              ids(Contender.LORIKEET, Map.of(), inputs, scenario),
              ids(Contender.LLAMA_CPP, settings, inputs, scenario));
      assertTrue(agreement.same(), agreement::toString);
    }
  }

  @Test
  void whatCannotBeOpenedIsToldOf() throws IOException {
    Inputs inputs = inputs();
    Inputs broken =
        new Inputs(
            directory.resolve("nowhere").toString(),
            List.of(),
            "",
            List.of(),
            inputs.vocabulary(),
            1);
    NotAvailable failure =
        assertThrows(
            NotAvailable.class,
            () ->
                RemoteEngine.start(Contender.LORIKEET, Map.of(), broken, directory.resolve("log")));
    assertTrue(failure.reason().contains("nowhere"), failure::reason);
  }
}
