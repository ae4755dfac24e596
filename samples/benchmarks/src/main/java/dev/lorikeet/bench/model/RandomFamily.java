package dev.lorikeet.bench.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.bench.model.RandomTensors.Fill;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.files.model.Experts;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.ModuleNames.Module;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Models of every family with random weights and, as far as the family allows it, the same sizes.
 * Experts are half as wide as an MLP would be, of which each token goes to two.
 */
public enum RandomFamily {
  /** What the others are compared with. */
  LLAMA,
  GEMMA,
  GEMMA2,
  GEMMA3_TEXT,
  GPT2,
  GRANITE,
  MINISTRAL,
  MINISTRAL3,
  MISTRAL,
  MIXTRAL,
  OLMO2,
  PHI3,
  QWEN2,
  QWEN3,
  QWEN3_MOE,
  SMOLLM3,
  STARCODER2;

  private static final int MAX_POSITIONS = 2048;
  private static final int EXPERTS = 4;
  private static final long SEED = 1;

  /** Returns the {@code model_type}. */
  public String modelType() {
    return name().toLowerCase(java.util.Locale.ROOT);
  }

  /** Returns whether it can be quantized: not what is stored by columns. */
  public boolean quantizes() {
    return this != GPT2;
  }

  /** Writes a model in BF16. */
  public void write(Path directory, ModelShape shape) throws IOException {
    Files.createDirectories(directory);
    Vocabulary vocabulary = RandomWeights.vocabulary(shape);
    RandomWeights.writeTokenizer(directory, vocabulary);
    Files.writeString(directory.resolve("config.json"), config(shape, vocabulary).toString());
    tensors(Families.read(directory), vocabulary).write(directory.resolve("model.safetensors"));
  }

  private ObjectNode config(ModelShape s, Vocabulary vocabulary) {
    ObjectNode config =
        new ObjectMapper()
            .createObjectNode()
            .put("model_type", modelType())
            .put("vocab_size", s.vocabulary())
            .put("bos_token_id", vocabulary.bos())
            .put("eos_token_id", vocabulary.eos())
            .put("tie_word_embeddings", true);
    if (this == GPT2) {
      return config
          .put("n_embd", s.hidden())
          .put("n_inner", s.intermediate())
          .put("n_layer", s.layers())
          .put("n_head", s.heads())
          .put("n_positions", MAX_POSITIONS);
    }
    config
        .put("hidden_size", s.hidden())
        .put("intermediate_size", s.intermediate())
        .put("num_hidden_layers", s.layers())
        .put("num_attention_heads", s.heads())
        .put("num_key_value_heads", s.kvHeads())
        .put("max_position_embeddings", MAX_POSITIONS);
    switch (this) {
      case GEMMA, GEMMA2, GEMMA3_TEXT, MINISTRAL, MISTRAL, QWEN2, QWEN3 ->
          config.put("head_dim", s.headDim());
      case MIXTRAL ->
          config
              .put("intermediate_size", s.intermediate() / 2)
              .put("num_local_experts", EXPERTS)
              .put("num_experts_per_tok", 2);
      case QWEN3_MOE ->
          config
              .put("head_dim", s.headDim())
              .put("moe_intermediate_size", s.intermediate() / 2)
              .put("num_experts", EXPERTS)
              .put("num_experts_per_tok", 2);
      case MINISTRAL3 -> {
        config.put("head_dim", s.headDim());
        config
            .putObject("rope_parameters")
            .put("rope_type", "yarn")
            .put("rope_theta", 1e6)
            .put("factor", 16.0)
            .put("original_max_position_embeddings", 16)
            .put("llama_4_scaling_beta", 0.1);
      }
      default -> {}
    }
    return config;
  }

  private static RandomTensors tensors(Architecture a, Vocabulary vocabulary) {
    ModelShape s = a.shape();
    RandomTensors tensors = new RandomTensors(SEED);
    tensors.matrix(
        a.names().embedding(),
        s.vocabulary(),
        s.hidden(),
        new Fill.ZeroRows(RandomWeights.bound(s.hidden()), vocabulary::isSpecial));
    a.names()
        .positions()
        .ifPresent(name -> matrix(tensors, name, new int[] {a.maxPositions(), s.hidden()}));
    for (int layer = 0; layer < s.layers(); layer++) {
      String prefix = a.names().layer(layer);
      for (Module module : s.modules().modules()) {
        int in = s.inFeatures(module.parts().getFirst());
        int out = s.outFeatures(module);
        int[] shape = a.names().transposed() ? new int[] {in, out} : new int[] {out, in};
        matrix(tensors, prefix + module.path() + ".weight", shape);
        if (a.biased().contains(module.parts().getFirst())) {
          tensors.vector(prefix + module.path() + ".bias", out, new Fill.Uniform(0.1f));
        }
      }
      a.experts().ifPresent(experts -> experts(tensors, s, prefix, experts));
      a.names().norms().values().forEach(name -> norm(tensors, a, prefix + name, s.hidden()));
      Norm.OfQueryAndKey norms = a.attention().norms();
      if (norms != Norm.OfQueryAndKey.NONE) {
        boolean heads = norms == Norm.OfQueryAndKey.HEADS;
        ones(tensors, a, prefix + a.names().queryNorm(), heads ? s.headDim() : s.queryWidth());
        ones(tensors, a, prefix + a.names().keyNorm(), heads ? s.headDim() : s.kvWidth());
      }
    }
    norm(tensors, a, a.names().finalNorm(), s.hidden());
    return tensors;
  }

  private static void matrix(RandomTensors tensors, String name, int[] shape) {
    tensors.matrix(name, shape[0], shape[1], new Fill.Uniform(RandomWeights.bound(shape[1])));
  }

  private static void experts(RandomTensors tensors, ModelShape s, String prefix, Experts experts) {
    matrix(tensors, prefix + experts.router(), new int[] {experts.count(), s.hidden()});
    for (int e = 0; e < experts.count(); e++) {
      String name = prefix + experts.prefix() + e + ".";
      experts
          .modules()
          .forEach(
              (projection, module) ->
                  matrix(
                      tensors,
                      name + module + ".weight",
                      new int[] {s.outFeatures(projection), s.inFeatures(projection)}));
    }
  }

  private static void norm(RandomTensors tensors, Architecture a, String name, int width) {
    ones(tensors, a, name + ".weight", width);
    if (a.norm().kind() == Norm.Kind.LAYER) {
      tensors.vector(name + ".bias", width, new Fill.Uniform(0.1f));
    }
  }

  /** Norms that leave things alone: what is stored is less by what is added to it. */
  private static void ones(RandomTensors tensors, Architecture a, String name, int width) {
    tensors.vector(
        name, width, a.norm().weightOffset() == 0 ? new Fill.Ones() : new Fill.Uniform(0));
  }

  /**
   * Returns the bytes of weights that a step reads, on the average where experts are chosen at
   * random: all matrices, of the experts those that a token goes to, and the embedding as the
   * output matrix.
   *
   * @param bytes of every tensor, by name
   * @param sequences tokens of the step
   */
  public static double bytesOfStep(Architecture a, Map<String, Long> bytes, int sequences) {
    double share =
        a.experts()
            .map(e -> 1 - Math.pow(1 - (double) e.perToken() / e.count(), sequences))
            .orElse(1.0);
    double sum = 0;
    for (Map.Entry<String, Long> tensor : bytes.entrySet()) {
      String name = tensor.getKey();
      boolean ofExpert = a.experts().filter(e -> name.contains("." + e.prefix())).isPresent();
      if (!a.names().positions().filter(name::equals).isPresent()) {
        sum += tensor.getValue() * (ofExpert ? share : 1);
      }
    }
    return sum;
  }

  /** Returns the families of these names, or all. */
  public static List<RandomFamily> of(List<String> names) {
    Map<String, RandomFamily> known = new LinkedHashMap<>();
    for (RandomFamily family : values()) {
      known.put(family.modelType(), family);
    }
    if (names.isEmpty()) {
      return List.of(values());
    }
    for (String name : names) {
      if (!known.containsKey(name)) {
        throw new IllegalArgumentException(
            "families: expected some of " + known.keySet() + ", found " + name);
      }
    }
    return names.stream().map(known::get).toList();
  }
}
