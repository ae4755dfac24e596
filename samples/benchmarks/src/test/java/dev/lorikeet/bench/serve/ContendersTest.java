package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.bench.model.GgufConverter;
import dev.lorikeet.bench.model.RandomWeights;
import dev.lorikeet.bench.serve.RemoteContender.NotAvailable;
import dev.lorikeet.shape.ModelShape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The contenders as the benchmark runs them, each in a process of its own. */
class ContendersTest {
  private static final ModelShape SHAPE = new ModelShape(2, 128, 256, 4, 2, 32, 1024);
  private static final int TOKENS = 6;

  @TempDir Path directory;

  private Material material() throws IOException {
    Path model = directory.resolve("model");
    RandomWeights.writeModel(model, SHAPE, 1);
    var vocabulary = RandomWeights.vocabulary(SHAPE);
    GgufConverter.writeModel(model, SHAPE, vocabulary, false, directory.resolve("m-f16.gguf"));
    List<String> adapters = new ArrayList<>();
    for (int i = 0; i < Case.SEQUENCES; i++) {
      Path adapter = directory.resolve("adapter-" + i);
      RandomWeights.writeAdapter(adapter, SHAPE, 4, i);
      GgufConverter.writeAdapter(adapter, SHAPE, Path.of(adapter + ".gguf"));
      adapters.add(adapter.toString());
    }
    return new Material(
        model.toString(),
        adapters,
        directory.resolve("m").toString(),
        adapters.stream().map(adapter -> adapter + ".gguf").toList(),
        vocabulary,
        2);
  }

  private List<List<Integer>> ids(
      Lineup contender, Map<String, String> settings, Material material, Case what)
      throws IOException, NotAvailable {
    try (RemoteContender remote =
        RemoteContender.start(contender, settings, material, directory.resolve("log"))) {
      return remote.run(what.workload(material.vocabulary(), 9, TOKENS)).ids();
    }
  }

  @Test
  void jlamaGeneratesWhatLorikeetGenerates() throws IOException, NotAvailable {
    Material material = material();
    Agreement agreement =
        Agreement.of(
            "jlama",
            "none",
            ids(Lineup.LORIKEET, Map.of(), material, Case.EIGHT),
            ids(Lineup.JLAMA, Map.of("products", "F32"), material, Case.EIGHT));
    assertTrue(agreement.same(), agreement::toString);
    assertEquals(TOKENS, agreement.tokens());
  }

  @Test
  void llamaCppGeneratesWhatLorikeetGeneratesWithAdaptersToo() throws IOException, NotAvailable {
    assumeTrue(System.getProperty("os.arch").equals("amd64"), "java-llama.cpp brings a library");
    Material material = material();
    Map<String, String> settings = Map.of("weights", "f16", "flash", "false");
    for (Case what : List.of(Case.EIGHT, Case.EIGHT_ADAPTERS)) {
      Agreement agreement =
          Agreement.of(
              "llama.cpp",
              what.title(),
              ids(Lineup.LORIKEET, Map.of(), material, what),
              ids(Lineup.LLAMA_CPP, settings, material, what));
      assertTrue(agreement.same(), agreement::toString);
    }
  }

  @Test
  void whatCannotBeOpenedIsToldOf() throws IOException {
    Material material = material();
    Material broken =
        new Material(
            directory.resolve("nowhere").toString(),
            List.of(),
            "",
            List.of(),
            material.vocabulary(),
            1);
    NotAvailable failure =
        assertThrows(
            NotAvailable.class,
            () ->
                RemoteContender.start(Lineup.LORIKEET, Map.of(), broken, directory.resolve("log")));
    assertTrue(failure.reason().contains("nowhere"), failure::reason);
  }
}
