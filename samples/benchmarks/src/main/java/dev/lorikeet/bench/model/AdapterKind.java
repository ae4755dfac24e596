package dev.lorikeet.bench.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.lorikeet.bench.model.RandomTensors.Fill;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Kinds of adapters, each with LoRA on all linear layers and what the kind has beside. */
public enum AdapterKind {
  /** LoRA on all linear layers. */
  LORA,
  /** With a magnitude for each output (DoRA). */
  DORA,
  /** With a bias of B for each output. */
  BIASES,
  /** With LoRA on the output layer. */
  LM_HEAD,
  /** With LoRA on the embeddings. */
  EMBEDDING,
  /** With an output matrix that was trained in full. */
  SAVED_LM_HEAD;

  /** Writes an adapter of random weights in BF16. */
  public void write(Path directory, ModelShape shape, int rank, long seed) throws IOException {
    Files.createDirectories(directory);
    ObjectNode config =
        new ObjectMapper()
            .createObjectNode()
            .put("peft_type", "LORA")
            .put("r", rank)
            .put("lora_alpha", rank)
            .put("use_dora", this == DORA)
            .put("lora_bias", this == BIASES);
    var targets = config.putArray("target_modules");
    Projection.ofLayer().forEach(projection -> targets.add(projection.moduleName()));
    RandomTensors weights = new RandomTensors(seed);
    for (int layer = 0; layer < shape.layers(); layer++) {
      for (Projection projection : Projection.ofLayer()) {
        String prefix = "base_model.model.model.layers." + layer + "." + projection.path();
        int out = shape.outFeatures(projection);
        factors(
            weights, prefix + ".lora_A.weight", prefix + ".lora_B.weight", shape, projection, rank);
        if (this == DORA) {
          weights.ones(prefix + ".lora_magnitude_vector", out);
        } else if (this == BIASES) {
          weights.vector(prefix + ".lora_B.bias", out, new Fill.Uniform(0.1f));
        }
      }
    }
    String output = "base_model.model.lm_head";
    switch (this) {
      case LORA, DORA, BIASES -> {}
      case LM_HEAD -> {
        targets.add("lm_head");
        factors(
            weights,
            output + ".lora_A.weight",
            output + ".lora_B.weight",
            shape,
            Projection.LM_HEAD,
            rank);
      }
      case EMBEDDING -> {
        targets.add("embed_tokens");
        String embedding = "base_model.model.model.embed_tokens.lora_embedding_";
        factors(weights, embedding + "A", embedding + "B", shape, Projection.EMBED, rank);
      }
      case SAVED_LM_HEAD -> {
        config.putArray("modules_to_save").add("lm_head");
        weights.matrix(
            output + ".weight",
            shape.vocabulary(),
            shape.hidden(),
            new Fill.Uniform(RandomWeights.bound(shape.hidden())));
      }
    }
    Files.writeString(directory.resolve("adapter_config.json"), config.toString());
    weights.write(directory.resolve("adapter_model.safetensors"));
  }

  private static void factors(
      RandomTensors weights,
      String a,
      String b,
      ModelShape shape,
      Projection projection,
      int rank) {
    int in = shape.inFeatures(projection);
    weights.matrix(a, rank, in, new Fill.Uniform(RandomWeights.bound(in)));
    weights.matrix(
        b, shape.outFeatures(projection), rank, new Fill.Uniform(RandomWeights.bound(rank) / 5));
  }
}
