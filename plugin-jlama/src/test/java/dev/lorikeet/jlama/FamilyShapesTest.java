package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.quantize.Quantizer;
import dev.lorikeet.jlama.weights.RandomFamily;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.Generation;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Models of every family in random sizes, with random windows, heads and factors: logits against a
 * forward pass in double precision, for sequences of several lengths in one batch. The references
 * of transformers are one sample of each family.
 */
class FamilyShapesTest {
  private static final int ROUNDS = Integer.getInteger("lorikeet.family.rounds", 3);
  private static final double TOLERANCE = 1e-4;
  private static final List<ElementType> TYPES = List.of(ElementType.values());

  @TempDir Path directory;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "gemma",
        "gemma2",
        "gemma3_text",
        "gpt2",
        "granite",
        "llama",
        "ministral",
        "ministral3",
        "mistral",
        "mixtral",
        "olmo2",
        "phi3",
        "qwen2",
        "qwen3",
        "qwen3_moe",
        "smollm3",
        "starcoder2"
      })
  void logitsAreThoseOfAForwardPassInDoublePrecision(String family) {
    long seed = Long.getLong("lorikeet.seed", new Random().nextLong());
    System.out.println("FamilyShapesTest: lorikeet.seed=" + seed);
    Random random = new Random(seed);
    for (int round = 0; round < ROUNDS; round++) {
      Map<String, Object> config = config(family, random);
      ElementType type = TYPES.get(random.nextInt(TYPES.size()));
      Path model =
          RandomFamily.write(directory.resolve("r" + round), config, type, random.nextLong());
      compare(model, random, config + " " + type);
    }
  }

  /** Quantized weights come in blocks of 32; GPT-2's are stored by columns. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "gemma",
        "gemma2",
        "gemma3_text",
        "granite",
        "ministral3",
        "mistral",
        "mixtral",
        "olmo2",
        "phi3",
        "qwen3",
        "qwen3_moe",
        "smollm3",
        "starcoder2"
      })
  void quantizedWeightsGiveTheLogitsOfAForwardPassInDoublePrecision(String family)
      throws IOException {
    long seed = Long.getLong("lorikeet.seed", new Random().nextLong());
    System.out.println("FamilyShapesTest: lorikeet.seed=" + seed);
    Random random = new Random(seed);
    Map<String, Object> config = config(family, random);
    int heads = (int) Objects.requireNonNull(config.get("num_attention_heads"));
    config.put("hidden_size", 32 * heads);
    config.computeIfPresent("head_dim", (key, width) -> 32);
    config.computeIfPresent("partial_rotary_factor", (key, part) -> 0.75);
    config.computeIfPresent("rope_scaling", (key, scaling) -> longRope(random, 12));
    config.put("intermediate_size", 32 * (1 + random.nextInt(6)));
    config.computeIfPresent("moe_intermediate_size", (key, width) -> 32 * (1 + random.nextInt(4)));
    Path source =
        RandomFamily.write(directory.resolve("f32"), config, ElementType.F32, random.nextLong());
    Path q4 = Quantizer.quantize(source, directory.resolve("q4"), false).directory();
    compare(q4, random, config + " Q4");
  }

  private static void compare(Path model, Random random, String what) {
    try (Lorikeet lorikeet =
        Lorikeet.builder(model)
            .poolBytes(32L << 20)
            .modelOption("threads", "2")
            .modelOption("kv-type", "f32")
            .open()) {
      List<int[]> prompts = new ArrayList<>();
      List<float[]> found = new ArrayList<>();
      List<Generation> running = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        int length = 1 + random.nextInt(150);
        int[] prompt = random.ints(length, 3, RandomModel.VOCABULARY).toArray();
        prompts.add(prompt);
        found.add(new float[RandomModel.VOCABULARY]);
        float[] row = found.getLast();
        running.add(
            lorikeet.submit(
                GenerationRequest.tokens(Arrays.stream(prompt).boxed().toList())
                    .maxTokens(1)
                    .build(),
                RequestObserver.logits(
                    (index, logits) ->
                        System.arraycopy(
                            logits.toArray(ValueLayout.JAVA_FLOAT), 0, row, 0, row.length))));
      }
      running.forEach(Generation::await);
      for (int i = 0; i < prompts.size(); i++) {
        double[] expected = ReferenceForward.lastLogits(model, prompts.get(i));
        double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
        for (int t = 0; t < expected.length; t++) {
          assertEquals(
              expected[t],
              found.get(i)[t],
              TOLERANCE * largest,
              "logit " + t + " of " + prompts.get(i).length + " tokens, " + what);
        }
      }
    }
  }

  private static Map<String, Object> config(String family, Random random) {
    int kvHeads = 1 + random.nextInt(3);
    int heads = kvHeads * (1 + random.nextInt(4));
    int headDim = 2 * (4 + random.nextInt(20));
    int layers = 1 + random.nextInt(4);
    int window = 1 + random.nextInt(100);
    boolean derived = List.of("olmo2", "phi3", "granite", "starcoder2", "smollm3").contains(family);
    int hidden = derived ? heads * headDim : 8 * (4 + random.nextInt(20));
    Map<String, Object> config = new HashMap<>();
    config.put("model_type", family);
    if (family.equals("gpt2")) {
      config.put("n_embd", heads * headDim);
      config.put("n_layer", layers);
      config.put("n_head", heads);
      config.put("n_positions", 200);
      config.put("n_inner", random.nextBoolean() ? null : 8 * (1 + random.nextInt(40)));
      config.put("activation_function", random.nextBoolean() ? "gelu" : "gelu_new");
      return config;
    }
    config.put("hidden_size", hidden);
    config.put("intermediate_size", 4 * (1 + random.nextInt(60)));
    config.put("num_hidden_layers", layers);
    config.put("num_attention_heads", heads);
    config.put("num_key_value_heads", kvHeads);
    config.put("max_position_embeddings", 512);
    config.put("tie_word_embeddings", random.nextBoolean());
    if (!derived) {
      config.put("head_dim", headDim);
    }
    if (random.nextInt(3) == 0) {
      config.put(family.matches("gemma[23].*") ? "hidden_activation" : "hidden_act", "gelu");
    }
    switch (family) {
      case "gemma2", "gemma3_text" -> {
        config.put("sliding_window", window);
        config.put("query_pre_attn_scalar", 1 + random.nextInt(300));
        config.put("sliding_window_pattern", 1 + random.nextInt(4));
        if (random.nextBoolean()) {
          config.put("attn_logit_softcapping", 1 + 20 * random.nextDouble());
          config.put("final_logit_softcapping", null);
        }
      }
      case "granite" -> {
        config.put("embedding_multiplier", 0.5 + 12 * random.nextDouble());
        config.put("logits_scaling", 0.5 + 8 * random.nextDouble());
        config.put("residual_multiplier", 0.1 + random.nextDouble());
        config.put("attention_multiplier", 0.01 + 0.2 * random.nextDouble());
        config.put("attention_bias", random.nextBoolean());
      }
      case "qwen2", "qwen3" -> {
        config.put("use_sliding_window", random.nextBoolean());
        config.put("sliding_window", window);
        config.put("max_window_layers", random.nextInt(layers + 1));
      }
      case "phi3" -> {
        config.put("sliding_window", random.nextBoolean() ? window : null);
        config.put("partial_rotary_factor", random.nextBoolean() ? 1.0 : 0.5);
        if (headDim % 4 != 0) {
          config.put("partial_rotary_factor", 1.0);
        }
        if (random.nextBoolean()) {
          int rotated =
              (int)
                  (headDim * (double) Objects.requireNonNull(config.get("partial_rotary_factor")));
          config.put("original_max_position_embeddings", 256);
          config.put("rope_scaling", longRope(random, rotated / 2));
        }
      }
      case "smollm3" -> {
        config.put("no_rope_layer_interval", 1 + random.nextInt(3));
        config.put("use_sliding_window", random.nextBoolean());
        config.put("sliding_window", window);
      }
      case "mixtral", "qwen3_moe" -> {
        int experts = 1 + random.nextInt(9);
        config.put("num_local_experts", experts);
        config.put("num_experts_per_tok", 1 + random.nextInt(experts));
        config.put("moe_intermediate_size", 4 * (1 + random.nextInt(40)));
        config.put("norm_topk_prob", random.nextBoolean());
        config.put("decoder_sparse_step", 1 + random.nextInt(3));
        config.put(
            "mlp_only_layers",
            IntStream.range(0, layers).filter(layer -> random.nextInt(3) == 0).boxed().toList());
      }
      case "ministral3" -> {
        config.put("sliding_window", random.nextInt(3) == 0 ? window : null);
        config.put(
            "rope_parameters",
            Map.of(
                "rope_type",
                "yarn",
                "rope_theta",
                1e4 * (1 + random.nextInt(100)),
                "factor",
                1 + 15 * random.nextDouble(),
                "original_max_position_embeddings",
                8 + random.nextInt(100),
                "mscale",
                1.0,
                "mscale_all_dim",
                1.0,
                "llama_4_scaling_beta",
                random.nextDouble()));
      }
      case "ministral", "mistral", "starcoder2" -> config.put("sliding_window", window);
      default -> {}
    }
    return config;
  }

  private static Map<String, Object> longRope(Random random, int frequencies) {
    return Map.of(
        "type", "longrope",
        "short_factor", random.doubles(frequencies, 1, 2).boxed().toList(),
        "long_factor", random.doubles(frequencies, 1, 60).boxed().toList());
  }
}
