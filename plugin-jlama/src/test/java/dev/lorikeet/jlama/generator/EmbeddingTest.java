package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.AbstractModel;
import com.github.tjake.jlama.model.functions.Generator.PoolingType;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.tiny.TinyModel;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(value = 120, unit = TimeUnit.SECONDS)
class EmbeddingTest {
  private static final String TEXT = "The ship sails in the beginning of the year";

  private static TinyModel tiny;
  private static LorikeetGenerator generator;

  @BeforeAll
  static void open() {
    tiny = TinyModel.extract();
    generator =
        LorikeetGenerator.builder(tiny.base())
            .register("voyage", tiny.adapter("voyage"))
            .settings(
                lorikeet ->
                    lorikeet
                        .poolBytes(64L << 20)
                        .modelOption("threads", "2")
                        .modelOption("kv-type", "f32"))
            .open();
  }

  @AfterAll
  static void close() {
    generator.close();
  }

  /** Jlama's hidden states, with the model's last norm, {@code [tokens, hidden]}. */
  private static double[][] states(String text) {
    int[] tokens =
        Arrays.stream(generator.getTokenizer().encode(text)).mapToInt(Math::toIntExact).toArray();
    try (AbstractModel jlama = JlamaModels.load(tiny.base());
        KvBufferCache caches = new KvBufferCache(jlama);
        KvBufferCache.KvBuffer cache = caches.getEphemeralKvBuffer();
        AbstractTensor<?, ?> rows = jlama.batchForward(tokens, 0, cache);
        AbstractTensor<?, ?> norm = jlama.getWeights().load("model.norm.weight")) {
      int hidden = jlama.getConfig().embeddingLength;
      double[][] states = new double[tokens.length][hidden];
      for (int t = 0; t < tokens.length; t++) {
        double squares = 0;
        for (int i = 0; i < hidden; i++) {
          squares += Math.pow(rows.get(t, i), 2);
        }
        double scale = 1 / Math.sqrt(squares / hidden + jlama.getConfig().layerNormEps);
        for (int i = 0; i < hidden; i++) {
          states[t][i] = rows.get(t, i) * scale * norm.get(0, i);
        }
      }
      return states;
    }
  }

  private static float[] ofLengthOne(double[] vector) {
    double length = Math.sqrt(Arrays.stream(vector).map(x -> x * x).sum());
    float[] scaled = new float[vector.length];
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] = (float) (vector[i] / length);
    }
    return scaled;
  }

  @Test
  void vectorsAreThePooledStatesOfJlamasForwardPass() {
    double[][] states = states(TEXT);
    double[] sum = new double[states[0].length];
    double[] max = new double[states[0].length];
    for (double[] state : states) {
      for (int i = 0; i < sum.length; i++) {
        sum[i] += state[i];
        max[i] = Math.max(max[i], state[i]);
      }
    }
    assertArrayEquals(ofLengthOne(sum), generator.embed(TEXT, PoolingType.AVG), 2e-4f);
    assertArrayEquals(ofLengthOne(sum), generator.embed(TEXT, PoolingType.SUM), 2e-4f);
    assertArrayEquals(ofLengthOne(max), generator.embed(TEXT, PoolingType.MAX), 2e-4f);
  }

  @Test
  void longTextsAndAdaptersHaveTheirOwnVectors() {
    float[] longer = generator.embed(TEXT.repeat(40), PoolingType.AVG);
    float[] adapted = generator.withAdapter("voyage").embed(TEXT, PoolingType.AVG);
    for (float[] vector : List.of(longer, adapted)) {
      double squares = 0;
      double product = 0;
      float[] plain = generator.embed(TEXT, PoolingType.AVG);
      for (int i = 0; i < vector.length; i++) {
        squares += vector[i] * vector[i];
        product += vector[i] * plain[i];
      }
      assertEquals(1, squares, 1e-5);
      assertTrue(product < 0.999, "cosine " + product);
    }
  }

  @Test
  void whatHasNoVectorIsRefused() {
    assertThrows(
        UnsupportedOperationException.class, () -> generator.embed(TEXT, PoolingType.MODEL));
    assertThrows(IllegalArgumentException.class, () -> generator.embed("", PoolingType.AVG));
    assertThrows(
        IllegalArgumentException.class, () -> generator.embed("7".repeat(5000), PoolingType.AVG));
    var error =
        assertThrows(
            LorikeetException.class, () -> generator.embed(TEXT.repeat(500), PoolingType.AVG));
    assertEquals(Code.INVALID_REQUEST, error.code());
  }
}
