package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.routing.Mixture;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Adapters that change more than plain LoRA does, over models of random sizes with biases, tied or
 * not: logits in one batch with other adapters, against a forward pass in double precision over the
 * model into which the adapter is merged.
 */
class AdapterKindsTest {
  private static final int ROUNDS = Integer.getInteger("lorikeet.kinds.rounds", 6);
  private static final double TOLERANCE = 1e-4;
  private static final List<ElementType> TYPES = List.of(ElementType.values());

  @TempDir Path directory;

  private final long seed = Long.getLong("lorikeet.seed", new Random().nextLong());
  private final Random random = new Random(seed);

  /** What merging rounds to, which is why 16-bit weights take deltas alone here. */
  private ElementType stored = ElementType.F32;

  private Path model(boolean tied) {
    stored = TYPES.get(random.nextInt(TYPES.size()));
    int heads = 1 << random.nextInt(3);
    int headDim = 2 * (1 + random.nextInt(17));
    RandomModel model =
        RandomModel.llama(random.nextLong())
            .heads(heads, 1 << random.nextInt(Integer.numberOfTrailingZeros(heads) + 1))
            .headDim(headDim)
            .widths(8 + random.nextInt(70), 8 + random.nextInt(150))
            .layers(1 + random.nextInt(3))
            .type(stored);
    if (tied) {
      model.tied();
    }
    if (random.nextBoolean()) {
      model.attentionBias();
    }
    if (random.nextBoolean()) {
      model.mlpBias();
    }
    return model.write(directory.resolve("model" + random.nextInt(1 << 30)));
  }

  private KindAdapter adapter(Path model, boolean tied, boolean mayScale) {
    KindAdapter adapter = new KindAdapter(model, random, TYPES.get(random.nextInt(TYPES.size())));
    if (mayScale && random.nextInt(4) == 0) {
      return adapter.ia3(
          adapter.modules().stream()
              .filter(module -> !module.endsWith("up_proj") && random.nextInt(4) > 0)
              .toList());
    }
    List<String> targets = List.of("q_proj", "k_proj", "v_proj", "o_proj", "up_proj", "down_proj");
    List<String> modules =
        adapter.modules().stream()
            .filter(module -> targets.stream().anyMatch(module::endsWith))
            .toList();
    modules.forEach(adapter::lora);
    if (mayScale && random.nextBoolean()) {
      adapter.dora();
    }
    boolean biases = random.nextBoolean();
    boolean shifts = random.nextBoolean();
    for (String module : modules) {
      if (biases) {
        adapter.bias(module);
      }
      if (shifts && !adapter.scalesOutputs()) {
        adapter.shift(module);
      }
    }
    if (!adapter.scalesOutputs()) {
      int ofEmbedding = random.nextInt(4);
      switch (ofEmbedding) {
        case 0 -> adapter.embedding();
        case 1 -> adapter.saved(false, random.nextBoolean());
        case 2 -> adapter.tokens(tied, List.of(17, 5, 2000));
        default -> {}
      }
      // Rows of a tied matrix can't be trained on their own and as a whole.
      switch (ofEmbedding == 2 && tied ? 0 : random.nextInt(3)) {
        case 0 -> adapter.output();
        case 1 -> adapter.saved(true, random.nextBoolean());
        default -> {}
      }
    }
    return adapter;
  }

  @Test
  void allKindsInOneBatchGiveTheLogitsOfTheModelTheyAreMergedInto() throws IOException {
    System.out.println("AdapterKindsTest: lorikeet.seed=" + seed);
    for (int round = 0; round < ROUNDS; round++) {
      boolean tied = random.nextBoolean();
      Path model = model(tied);
      Map<AdapterChoice, Path> expected = new LinkedHashMap<>();
      Map<String, Path> adapters = new LinkedHashMap<>();
      List<KindAdapter> kinds = new ArrayList<>();
      for (int a = 0; a < 4; a++) {
        // A tied model's output and embeddings are one matrix, whose token rows are shared.
        KindAdapter adapter = adapter(model, tied, true);
        kinds.add(adapter);
        adapters.put("a" + a, adapter.write(directory.resolve(round + "-a" + a)));
        expected.put(
            new AdapterChoice.Named("a" + a),
            KindAdapter.merge(
                model, Map.of(adapter, 1.0), directory.resolve(round + "-merged" + a)));
      }
      KindAdapter first = adapter(model, tied, false);
      KindAdapter second = adapter(model, tied, false);
      kinds.add(first);
      kinds.add(second);
      adapters.put("first", first.write(directory.resolve(round + "-first")));
      adapters.put("second", second.write(directory.resolve(round + "-second")));
      expected.put(
          new AdapterChoice.Mixed(
              new Mixture(
                  List.of(new Mixture.Share("first", 0.75f), new Mixture.Share("second", -0.5f)))),
          KindAdapter.merge(
              model, Map.of(first, 0.75, second, -0.5), directory.resolve(round + "-mixed")));
      expected.put(new AdapterChoice.None(), model);
      compare(
          model,
          adapters,
          expected,
          kinds + (tied ? ", tied" : "") + ", round " + round + " of seed " + seed);
    }
  }

  private void compare(
      Path model, Map<String, Path> adapters, Map<AdapterChoice, Path> expected, String what) {
    try (Lorikeet lorikeet =
        Lorikeet.builder(model)
            .poolBytes(64L << 20)
            .pageBytes(random.nextBoolean() ? 4096 : 65_536) // rows over the vocabulary are wider
            .modelOption("threads", "2")
            .modelOption("kv-type", "f32")
            .modelOption("switching", stored == ElementType.F32 ? "merge" : "delta")
            .open()) {
      adapters.forEach(lorikeet::register);
      List<AdapterChoice> choices = List.copyOf(expected.keySet());
      List<int[]> prompts = new ArrayList<>();
      List<float[]> found = new ArrayList<>();
      List<Generation> running = new ArrayList<>();
      for (AdapterChoice choice : choices) {
        prompts.add(random.ints(1 + random.nextInt(40), 3, RandomModel.VOCABULARY).toArray());
        prompts.getLast()[random.nextInt(prompts.getLast().length)] = 17;
        found.add(new float[RandomModel.VOCABULARY]);
        float[] row = found.getLast();
        running.add(
            lorikeet.submit(
                GenerationRequest.tokens(Arrays.stream(prompts.getLast()).boxed().toList())
                    .adapter(choice)
                    .maxTokens(1)
                    .build(),
                RequestObserver.logits(
                    (index, logits) ->
                        System.arraycopy(
                            logits.toArray(ValueLayout.JAVA_FLOAT), 0, row, 0, row.length))));
      }
      running.forEach(Generation::await);
      for (int c = 0; c < choices.size(); c++) {
        Path merged = Objects.requireNonNull(expected.get(choices.get(c)));
        double[] logits = ReferenceForward.lastLogits(merged, prompts.get(c));
        double largest = Arrays.stream(logits).map(Math::abs).max().orElseThrow();
        for (int t = 0; t < logits.length; t++) {
          assertEquals(
              logits[t],
              found.get(c)[t],
              TOLERANCE * largest,
              "logit " + t + " of " + choices.get(c) + ", " + what);
        }
      }
      adapters.keySet().forEach(lorikeet::unregister);
      assertEquals(0, lorikeet.pool().stats().adapterPages(), what);
    }
  }

  @Test
  void copiesOfTheBaseModelsMatricesAreNotKept() throws IOException {
    Path model = model(false);
    KindAdapter adapter = new KindAdapter(model, random, ElementType.F32);
    adapter.lora(adapter.modules().getFirst()).saved(true, true).saved(false, true);
    try (Lorikeet lorikeet = Lorikeet.builder(model).poolBytes(16L << 20).open()) {
      AdapterSpec spec = lorikeet.register("a", adapter.write(directory.resolve("copies")));
      assertTrue(spec.isPlain(), spec.toString());
    }
  }

  @Test
  void whatMultipliesOutputsIsNotMixed() throws IOException {
    Path model = model(false);
    KindAdapter adapter = new KindAdapter(model, random, ElementType.F32);
    adapter.modules().forEach(adapter::lora);
    Path written = adapter.dora().write(directory.resolve("dora"));
    try (Lorikeet lorikeet = Lorikeet.builder(model).poolBytes(16L << 20).open()) {
      lorikeet.register("a", written);
      GenerationRequest request =
          GenerationRequest.tokens(List.of(5))
              .adapter(new AdapterChoice.Mixed(new Mixture(List.of(new Mixture.Share("a", 0.5f)))))
              .build();
      LorikeetException refused =
          assertThrows(LorikeetException.class, () -> lorikeet.submit(request));
      assertEquals(Code.INVALID_REQUEST, refused.code());
      assertTrue(
          String.valueOf(refused.getMessage()).contains("adapter 'a'"), refused.getMessage());
    }
  }

  @Test
  void anotherVocabularyIsRefusedWithTheNumbers() throws IOException {
    Path small = RandomModel.llama(1).config("vocab_size", 2048).write(directory.resolve("small"));
    KindAdapter adapter = new KindAdapter(small, random, ElementType.F32);
    Path written =
        adapter
            .lora("model.layers.0.self_attn.q_proj")
            .saved(true, false)
            .write(directory.resolve("a"));
    String header = Files.readString(written.resolve("adapter_config.json"));
    assertTrue(header.contains("modules_to_save"), header);
    Path other = RandomModel.llama(1).widths(96, 192).write(directory.resolve("other"));
    try (Lorikeet lorikeet = Lorikeet.builder(other).poolBytes(16L << 20).open()) {
      LorikeetException refused =
          assertThrows(LorikeetException.class, () -> lorikeet.register("a", written));
      assertTrue(
          String.valueOf(refused.getMessage()).contains("2048")
              || String.valueOf(refused.getMessage()).contains("128"),
          refused.getMessage());
    }
  }
}
