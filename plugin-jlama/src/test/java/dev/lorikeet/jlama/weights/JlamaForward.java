package dev.lorikeet.jlama.weights;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.ModelSupport;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import java.io.File;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.Function;

/**
 * Logits by Jlama's own forward pass, activations and KV cache in float32. For one thread: Jlama's
 * models keep scratch memory in fields.
 */
public final class JlamaForward implements AutoCloseable {
  private final AbstractModel model;
  private final KvBufferCache caches;

  private JlamaForward(AbstractModel model) {
    this.model = model;
    this.caches = new KvBufferCache(model);
  }

  /** Loads a model directory as Jlama loads it, and keeps activations in float32. */
  public static JlamaForward open(Path directory) {
    DType stored;
    try (WeightLoader weights = SafeTensorSupport.loadWeights(directory.toFile())) {
      stored = weights.getModelDType();
    } catch (Exception e) {
      throw new IllegalStateException(directory.toString(), e);
    }
    return open(directory, stored, SafeTensorSupport::loadWeights);
  }

  /** Loads a model directory with weights from elsewhere. */
  static JlamaForward open(Path directory, WeightLoader weights) {
    return open(directory, weights.getModelDType(), ignored -> weights);
  }

  private static JlamaForward open(
      Path directory, DType stored, Function<File, WeightLoader> weights) {
    // naming the stored type as the type to quantize weights to changes no weight, but keeps Jlama
    // from rounding activations to BF16 where the weights are BF16
    return new JlamaForward(
        ModelSupport.loadModel(
            AbstractModel.InferenceType.FULL_GENERATION,
            directory.toFile(),
            null,
            DType.F32,
            DType.F32,
            Optional.of(stored),
            Optional.empty(),
            Optional.empty(),
            weights));
  }

  /** Returns the logits after the last token. */
  public float[] lastLogits(int... tokens) {
    float[][] all = logits(tokens);
    return all[all.length - 1];
  }

  /** Returns the logits after every token, {@code [tokens, vocabulary]}. */
  public float[][] logits(int... tokens) {
    try (KvBufferCache.KvBuffer cache = caches.getEphemeralKvBuffer();
        AbstractTensor<?, ?> hidden = model.batchForward(tokens, 0, cache);
        AbstractTensor<?, ?> scores = model.makeDenseTensor(model.getConfig().vocabularySize)) {
      float[][] logits = new float[tokens.length][model.getConfig().vocabularySize];
      for (int t = 0; t < tokens.length; t++) {
        // at temperature 0 this leaves the logits as they are; getLogits returns probabilities
        model.sample(hidden.slice(t), 0f, 0f, scores);
        for (int i = 0; i < logits[t].length; i++) {
          logits[t][i] = scores.get(0, i);
        }
      }
      return logits;
    }
  }

  @Override
  public void close() {
    caches.close();
    model.close();
  }
}
