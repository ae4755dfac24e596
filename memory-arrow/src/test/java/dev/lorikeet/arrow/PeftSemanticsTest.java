package dev.lorikeet.arrow;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.files.UserEnvironment;
import dev.lorikeet.files.adapter.AdapterFile;
import dev.lorikeet.files.peft.PeftAdapterFile;
import dev.lorikeet.files.peft.PeftPlans;
import dev.lorikeet.files.peft.TrustedLinks;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What configurations mean, after PEFT 0.20. */
class PeftSemanticsTest {
  private static final ModelShape SHAPE =
      ModelShape.builder()
          .layers(12)
          .hidden(8)
          .intermediate(16)
          .heads(2)
          .kvHeads(1)
          .headDim(4)
          .vocabulary(10)
          .build();

  @TempDir Path directory;
  private int written;

  private List<TargetSpec> read(PeftWriter writer) throws IOException {
    Path path = writer.write(directory.resolve("adapter-" + written++));
    try (AdapterFile file = PeftAdapterFile.open(path, new PeftPlans(Optional.of(SHAPE)))) {
      return file.targets();
    }
  }

  private static PeftWriter writer(String json) throws IOException {
    var writer = new PeftWriter(SHAPE);
    writer.config.put("r", 4).put("lora_alpha", 8);
    writer.config.setAll(
        (com.fasterxml.jackson.databind.node.ObjectNode) new ObjectMapper().readTree(json));
    return writer;
  }

  private static void add(PeftWriter writer, int layer, Projection projection, int rank) {
    writer.add(layer, projection, rank, 1, 1, "F32", new Random(1));
  }

  private static List<Integer> layers(List<TargetSpec> targets) {
    return targets.stream().map(t -> t.target().layer()).distinct().toList();
  }

  @Test
  void theFirstPatternThatMatchesGivesRankAndAlpha() throws IOException {
    var writer =
        writer(
            """
            {"target_modules": ["q_proj", "v_proj"],
             "rank_pattern": {"layers.1.self_attn.q_proj": 2, "q_proj": 3, "^model.layers.1[01].*": 6},
             "alpha_pattern": {"v_proj": 2.5, "layers.\\\\d+.self_attn.v_proj": 99}}
            """);
    for (int layer = 0; layer < 12; layer++) {
      add(writer, layer, Projection.Q, layer == 1 ? 2 : 3);
      add(writer, layer, Projection.V, layer >= 10 ? 6 : 4);
    }
    for (TargetSpec spec : read(writer)) {
      boolean q = spec.target().projection() == Projection.Q;
      int rank = q ? spec.target().layer() == 1 ? 2 : 3 : spec.target().layer() >= 10 ? 6 : 4;
      assertEquals(rank, spec.rank());
      assertEquals((float) ((q ? 8 : 2.5) / rank), spec.scaling());
    }
  }

  @Test
  void rankStabilizedScalingDividesByTheRootOfTheModulesRank() throws IOException {
    var writer =
        writer(
            "{\"target_modules\": \".*q_proj\", \"use_rslora\": true, \"rank_pattern\":"
                + " {\"layers.3.*\": 7}}");
    for (int layer = 0; layer < 12; layer++) {
      add(writer, layer, Projection.Q, layer == 3 ? 7 : 4);
    }
    for (TargetSpec spec : read(writer)) {
      assertEquals((float) (8 / Math.sqrt(spec.rank())), spec.scaling());
    }
  }

  @Test
  void layersToTransformLimitsSuffixesButNotFullNames() throws IOException {
    var writer =
        writer(
            """
            {"target_modules": ["q_proj", "model.layers.7.mlp.up_proj"], "layers_to_transform": [1, 11],
             "layers_pattern": ["blocks", "layers"]}
            """);
    add(writer, 1, Projection.Q, 4);
    add(writer, 11, Projection.Q, 4);
    add(writer, 7, Projection.UP, 4);
    assertEquals(List.of(1, 7, 11), layers(read(writer)));
    writer.config.put("layers_pattern", "h");
    assertThrows(LorikeetException.class, () -> read(writer));
  }

  @Test
  void excludedModulesAreLeftOutOfAllLinear() throws IOException {
    var writer =
        writer(
            "{\"target_modules\": \"All-Linear\", \"exclude_modules\": [\"mlp.gate_proj\","
                + " \"o_proj\"]}");
    var kept = EnumSet.copyOf(Projection.ofLayer());
    kept.removeAll(EnumSet.of(Projection.GATE, Projection.O));
    for (int layer = 0; layer < 12; layer++) {
      for (Projection projection : kept) {
        add(writer, layer, projection, 4);
      }
    }
    assertEquals(12 * kept.size(), read(writer).size());
  }

  @Test
  void targetsAreSortedByLayerAndProjectionWhateverTheFilesOrder() throws IOException {
    var writer = writer("{\"target_modules\": [\"down_proj\", \"q_proj\"]}");
    for (int layer = 11; layer >= 0; layer--) {
      add(writer, layer, Projection.DOWN, 4);
      add(writer, layer, Projection.Q, 4);
    }
    List<TargetModule> expected = new ArrayList<>();
    for (int layer = 0; layer < 12; layer++) {
      expected.add(TargetModule.of(layer, Projection.Q));
      expected.add(TargetModule.of(layer, Projection.DOWN));
    }
    assertEquals(expected, read(writer).stream().map(TargetSpec::target).toList());
  }

  @Test
  void namesMayLackTheWrapperOrCarryTheAdaptersName() throws IOException {
    List<UnaryOperator<String>> forms =
        List.of(
            name -> name.replace("base_model.model.", ""),
            name -> name.replace("base_model.model.model.", "base_model.model."),
            name -> name.replace("base_model.model.model.", ""),
            name -> name.replace(".weight", ".default.weight"),
            name -> name.replace(".weight", ".my.adapter.weight"));
    for (UnaryOperator<String> form : forms) {
      var writer = writer("{\"target_modules\": [\"q_proj\"]}");
      for (int layer = 0; layer < 12; layer++) {
        add(writer, layer, Projection.Q, 4);
      }
      Map<String, PeftWriter.Tensor> renamed = new HashMap<>();
      writer.tensors.forEach((name, tensor) -> renamed.put(form.apply(name), tensor));
      writer.tensors.clear();
      writer.tensors.putAll(renamed);
      assertEquals(12, read(writer).size());
    }
  }

  @Test
  void absentRankAndAlphaAreEight() throws IOException {
    var writer = writer("{\"target_modules\": [\"layers.0.self_attn.q_proj\"]}");
    writer.config.remove(List.of("r", "lora_alpha"));
    add(writer, 0, Projection.Q, 8);
    TargetSpec spec = read(writer).getFirst();
    assertEquals(8, spec.rank());
    assertEquals(1f, spec.scaling());
  }

  @Test
  void linksWithinTheFolderAndWithinAModelOfTheHubCacheAreFollowed() throws IOException {
    var writer = writer("{\"target_modules\": [\"layers.0.self_attn.q_proj\"]}");
    add(writer, 0, Projection.Q, 4);
    Path inside = writer.write(directory.resolve("inside"));
    link(inside, inside.resolve("files"), Path.of("files"));
    assertTrue(open(inside));

    Path model = directory.resolve("hub/models--some--adapter");
    Path snapshot = writer.write(model.resolve("snapshots/0a1b2c"));
    link(snapshot, model.resolve("blobs"), Path.of("../../blobs"));
    assertTrue(open(snapshot));
    assertTrue(open(Files.createSymbolicLink(directory.resolve("link"), snapshot)));

    Path other = writer.write(directory.resolve("hub/models--other/snapshots/0a1b2c"));
    link(other, directory.resolve("elsewhere/blobs"), directory.resolve("elsewhere/blobs"));
    assertThrows(LorikeetException.class, () -> open(other));

    Path trick = writer.write(directory.resolve("hub/models--trick/snapshots/0a1b2c"));
    link(trick, directory.resolve("secret"), Path.of("../../blobs"));
    Files.createSymbolicLink(
        directory.resolve("hub/models--trick/blobs"), directory.resolve("secret"));
    assertThrows(LorikeetException.class, () -> open(trick));
  }

  @Test
  void linksIntoTrustedFoldersAreFollowedAndNoOthers() throws IOException {
    var writer = writer("{\"target_modules\": [\"layers.0.self_attn.q_proj\"]}");
    add(writer, 0, Projection.Q, 4);
    Path store = directory.resolve("store");
    Path adapter = writer.write(directory.resolve("adapter"));
    link(adapter, store.resolve("a/b"), store.resolve("a/b"));
    var refusal = assertThrows(LorikeetException.class, () -> open(adapter));
    assertTrue(refusal.getMessage().contains("found a link to"), refusal::getMessage);
    assertTrue(refusal.getMessage().contains("'trusted-links'"), refusal::getMessage);
    assertTrue(refusal.getMessage().contains("--trust-links"), refusal::getMessage);

    TrustedLinks none = TrustedLinks.of(environment(directory.resolve("hub")));
    assertTrue(open(adapter, none.with(List.of(store))));
    Path named = Files.createSymbolicLink(directory.resolve("named"), store);
    assertTrue(open(adapter, none.with(List.of(named))));
    TrustedLinks beside = none.with(List.of(Files.createDirectory(directory.resolve("sto"))));
    assertThrows(LorikeetException.class, () -> open(adapter, beside));
    // What is trusted is where the file really lies.
    Files.createDirectories(directory.resolve("sto/x"));
    Path second = writer.write(directory.resolve("second"));
    link(second, directory.resolve("elsewhere"), directory.resolve("sto/../elsewhere"));
    assertThrows(LorikeetException.class, () -> open(second, beside));
    assertThrows(
        IllegalArgumentException.class,
        () -> TrustedLinks.ofEnvironment().with(List.of(directory.resolve("absent"))));
  }

  @Test
  void linksIntoTheHubCacheOfTheEnvironmentLeadToItsBlobs() throws IOException {
    var writer = writer("{\"target_modules\": [\"layers.0.self_attn.q_proj\"]}");
    add(writer, 0, Projection.Q, 4);
    Path cache = directory.resolve("cache");
    TrustedLinks trusted = TrustedLinks.of(environment(cache));
    Path local = writer.write(directory.resolve("local"));
    Path blobs = cache.resolve("models--acme--bird/blobs");
    link(local, blobs, blobs);
    assertTrue(open(local, trusted));
    Path other = directory.resolve("other");
    assertThrows(LorikeetException.class, () -> open(local, TrustedLinks.of(environment(other))));

    Path token = writer.write(directory.resolve("token"));
    link(token, cache.resolve("models--acme--bird/refs"), cache.resolve("models--acme--bird/refs"));
    assertThrows(LorikeetException.class, () -> open(token, trusted));
    Path loose = writer.write(directory.resolve("loose"));
    link(loose, cache, cache);
    assertThrows(LorikeetException.class, () -> open(loose, trusted));
  }

  private static UserEnvironment environment(Path cache) {
    return new UserEnvironment(Map.of("HF_HUB_CACHE", cache.toString()), new Properties());
  }

  private static boolean open(Path adapter, TrustedLinks trusted) throws IOException {
    try (AdapterFile file =
        PeftAdapterFile.open(adapter, new PeftPlans(Optional.of(SHAPE)), trusted)) {
      return !file.targets().isEmpty();
    }
  }

  /** Moves the files of an adapter to a folder, and links to them by a path. */
  private static void link(Path adapter, Path to, Path by) throws IOException {
    Files.createDirectories(to);
    for (String file : List.of("adapter_config.json", "adapter_model.safetensors")) {
      Files.move(adapter.resolve(file), to.resolve(file));
      Files.createSymbolicLink(adapter.resolve(file), by.resolve(file));
    }
  }

  private static boolean open(Path adapter) throws IOException {
    try (AdapterFile file = PeftAdapterFile.open(adapter, new PeftPlans(Optional.of(SHAPE)))) {
      return !file.targets().isEmpty();
    }
  }
}
