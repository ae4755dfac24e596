package dev.lorikeet.bench.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.bench.model.RandomTensors.Fill;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Writes models and adapters with random weights in the layouts of Hugging Face and PEFT. Weights
 * are scaled so that activations keep their size through the layers: such a model computes as a
 * trained one does, without denormals, infinities or a token that always wins.
 */
public final class RandomWeights {
  private static final float UNIT_VARIANCE = (float) Math.sqrt(3);
  private static final int MAX_POSITIONS = 2048;

  private RandomWeights() {}

  /** Returns the special ids of the random models. */
  public static Vocabulary vocabulary(ModelShape shape) {
    return new Vocabulary(shape.vocabulary(), 1, 2);
  }

  /** Writes a Llama model with tied embeddings: configuration, BF16 weights and a tokenizer. */
  public static void writeModel(Path directory, ModelShape shape, long seed) throws IOException {
    Files.createDirectories(directory);
    Vocabulary vocabulary = vocabulary(shape);
    Files.writeString(directory.resolve("config.json"), config(shape, vocabulary));
    writeTokenizer(directory, vocabulary);

    RandomTensors weights = new RandomTensors(seed);
    // A logit of zero is never the largest of thousands: no special token is ever generated.
    weights.matrix(
        "model.embed_tokens.weight",
        shape.vocabulary(),
        shape.hidden(),
        new Fill.ZeroRows(bound(shape.hidden()), vocabulary::isSpecial));
    for (int layer = 0; layer < shape.layers(); layer++) {
      String prefix = "model.layers." + layer + ".";
      weights.ones(prefix + "input_layernorm.weight", shape.hidden());
      weights.ones(prefix + "post_attention_layernorm.weight", shape.hidden());
      for (Projection projection : Projection.ofLayer()) {
        int in = shape.inFeatures(projection);
        weights.matrix(
            prefix + projection.path() + ".weight",
            shape.outFeatures(projection),
            in,
            new Fill.Uniform(bound(in)));
      }
    }
    weights.ones("model.norm.weight", shape.hidden());
    weights.write(directory.resolve("model.safetensors"));
  }

  /** Writes a tokenizer of one character for every token. */
  public static void writeTokenizer(Path directory, Vocabulary vocabulary) throws IOException {
    Files.writeString(directory.resolve("tokenizer.json"), vocabulary.tokenizerJson());
    Files.writeString(directory.resolve("tokenizer_config.json"), vocabulary.tokenizerConfigJson());
  }

  /** Writes a PEFT adapter on all seven projections of all layers, in BF16, with scaling 1. */
  public static void writeAdapter(Path directory, ModelShape shape, int rank, long seed)
      throws IOException {
    Files.createDirectories(directory);
    ObjectNode config =
        new ObjectMapper()
            .createObjectNode()
            .put("peft_type", "LORA")
            .put("base_model_name_or_path", "random-llama")
            .put("r", rank)
            .put("lora_alpha", rank);
    var targets = config.putArray("target_modules");
    Projection.ofLayer().forEach(projection -> targets.add(projection.moduleName()));
    Files.writeString(directory.resolve("adapter_config.json"), config.toString());

    RandomTensors weights = new RandomTensors(seed);
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : Projection.ofLayer()) {
        String prefix = "base_model.model.model.layers." + layer + "." + projection.path();
        int in = shape.inFeatures(projection);
        weights.matrix(prefix + ".lora_A.weight", rank, in, new Fill.Uniform(bound(in)));
        // A fifth of the size of the base product: enough to change what is generated.
        weights.matrix(
            prefix + ".lora_B.weight",
            shape.outFeatures(projection),
            rank,
            new Fill.Uniform(bound(rank) / 5));
      }
    }
    weights.write(directory.resolve("adapter_model.safetensors"));
  }

  static float bound(int inFeatures) {
    return UNIT_VARIANCE / (float) Math.sqrt(inFeatures);
  }

  private static String config(ModelShape shape, Vocabulary vocabulary) {
    ObjectNode config = new ObjectMapper().createObjectNode();
    config.putArray("architectures").add("LlamaForCausalLM");
    return config
        .put("model_type", "llama")
        .put("hidden_size", shape.hidden())
        .put("intermediate_size", shape.intermediate())
        .put("num_hidden_layers", shape.layers())
        .put("num_attention_heads", shape.heads())
        .put("num_key_value_heads", shape.kvHeads())
        .put("head_dim", shape.headDim())
        .put("vocab_size", shape.vocabulary())
        .put("max_position_embeddings", MAX_POSITIONS)
        .put("rms_norm_eps", 1e-5)
        .put("rope_theta", 10_000.0)
        .put("hidden_act", "silu")
        .put("tie_word_embeddings", true)
        .put("bos_token_id", vocabulary.bos())
        .put("eos_token_id", vocabulary.eos())
        .put("torch_dtype", "bfloat16")
        .toString();
  }
}
