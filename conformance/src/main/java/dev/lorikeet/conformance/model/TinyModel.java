package dev.lorikeet.conformance.model;

import dev.lorikeet.conformance.files.Safetensors;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;

/**
 * A random llama-shaped model of 64 features and two layers, with a tokenizer of its own: what the
 * suite gives models under test to open. The same seed gives the same files.
 */
final class TinyModel {
  static final String CONFIG = "config.json";
  static final String WEIGHTS = "model.safetensors";
  static final String TOKENIZER = "tokenizer.json";
  static final int MAX_POSITIONS = 512;
  private static final int NONE = -1;

  final ByteLevelTokenizer tokenizer = new ByteLevelTokenizer();
  final ModelShape shape =
      ModelShape.builder()
          .layers(2)
          .hidden(64)
          .intermediate(96)
          .heads(4)
          .kvHeads(2)
          .headDim(16)
          .vocabulary(tokenizer.size())
          .build();
  final PlainTransformer transformer;
  final Map<String, Object> config = new LinkedHashMap<>();
  final Safetensors weights = new Safetensors();

  /**
   * Draws a model.
   *
   * @param headMagnitude the size of the output weights; with 0 all logits are equal
   */
  TinyModel(long seed, double headMagnitude) {
    this(seed, headMagnitude, NONE);
  }

  /**
   * Draws a model.
   *
   * @param unsound a token whose embedding is NaN
   */
  TinyModel(long seed, double headMagnitude, int unsound) {
    RandomGenerator random = new SplittableRandom(seed);
    float[][] embedding = draw(random, shape.vocabulary(), shape.hidden(), 1);
    if (unsound != NONE) {
      Arrays.fill(embedding[unsound], Float.NaN);
    }
    List<Map<Projection, float[][]>> layers = new ArrayList<>();
    List<float[]> attentionNorms = new ArrayList<>();
    List<float[]> mlpNorms = new ArrayList<>();
    add("model.embed_tokens", embedding);
    for (int layer = 0; layer < shape.layers(); layer++) {
      Map<Projection, float[][]> projections = new EnumMap<>(Projection.class);
      String prefix = "model.layers." + layer + ".";
      for (Projection p : Projection.ofLayer()) {
        int in = shape.inFeatures(p);
        float[][] w = draw(random, shape.outFeatures(p), in, 1 / Math.sqrt(in));
        projections.put(p, w);
        add(prefix + p.path(), w);
      }
      layers.add(projections);
      attentionNorms.add(addNorm(prefix + "input_layernorm", random));
      mlpNorms.add(addNorm(prefix + "post_attention_layernorm", random));
    }
    float[] finalNorm = addNorm("model.norm", random);
    float[][] head = draw(random, shape.vocabulary(), shape.hidden(), headMagnitude);
    // Tokens that are no whole characters, and special ones, are kept unlikely: texts stay legible.
    for (int id = 0; id < head.length; id++) {
      if (!tokenizer.isAscii(id)) {
        for (int i = 0; i < head[id].length; i++) {
          head[id][i] *= 0.05f;
        }
      }
    }
    add("lm_head", head);
    transformer =
        new PlainTransformer(shape, embedding, layers, attentionNorms, mlpNorms, finalNorm, head);
    configure();
  }

  /** Returns a token that no prompt of the suite holds by chance. */
  static int unsoundToken() {
    return ByteLevelTokenizer.BOS;
  }

  private static float[][] draw(RandomGenerator random, int rows, int columns, double magnitude) {
    float[][] weights = new float[rows][columns];
    for (float[] row : weights) {
      for (int i = 0; i < columns; i++) {
        row[i] = (float) (magnitude * random.nextGaussian());
      }
    }
    return weights;
  }

  private void add(String module, float[][] rows) {
    weights.add(module + ".weight", ElementType.F32, rows);
  }

  private float[] addNorm(String module, RandomGenerator random) {
    float[] norm = new float[shape.hidden()];
    for (int i = 0; i < norm.length; i++) {
      norm[i] = (float) random.nextDouble(0.5, 1.5);
    }
    weights.add(module + ".weight", ElementType.F32, new long[] {norm.length}, norm);
    return norm;
  }

  private void configure() {
    config.put("architectures", List.of("LlamaForCausalLM"));
    config.put("model_type", "llama");
    config.put("hidden_size", shape.hidden());
    config.put("intermediate_size", shape.intermediate());
    config.put("num_hidden_layers", shape.layers());
    config.put("num_attention_heads", shape.heads());
    config.put("num_key_value_heads", shape.kvHeads());
    config.put("head_dim", shape.headDim());
    config.put("vocab_size", shape.vocabulary());
    config.put("max_position_embeddings", MAX_POSITIONS);
    config.put("rms_norm_eps", PlainTransformer.NORM_EPSILON);
    config.put("rope_theta", PlainTransformer.ROPE_THETA);
    config.put("hidden_act", "silu");
    config.put("attention_bias", false);
    config.put("mlp_bias", false);
    config.put("tie_word_embeddings", false);
    config.put("torch_dtype", "float32");
    config.put("bos_token_id", ByteLevelTokenizer.BOS);
    config.put("eos_token_id", ByteLevelTokenizer.EOS);
  }

  /** Writes the model's files into a new folder. */
  Path write(Path directory) {
    try {
      Files.createDirectories(directory);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    Safetensors.writeJson(directory.resolve(CONFIG), config);
    Safetensors.writeJson(directory.resolve(TOKENIZER), tokenizer.json());
    Safetensors.writeJson(
        directory.resolve("tokenizer_config.json"),
        Map.of(
            "tokenizer_class",
            "PreTrainedTokenizerFast",
            "bos_token",
            "<s>",
            "eos_token",
            "</s>",
            "add_bos_token",
            false,
            "clean_up_tokenization_spaces",
            false,
            "model_max_length",
            MAX_POSITIONS));
    weights.write(directory.resolve(WEIGHTS));
    return directory;
  }
}
