package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.jlama.weights.JlamaForward;
import dev.lorikeet.jlama.weights.RandomModel;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Random models of every family: our logits against Jlama's own forward pass, and, where Jlama
 * departs from Hugging Face's semantics, against an independent forward pass in double precision.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class FamiliesTest {
  /**
   * Sums of a few hundred float32 products in another order; Jlama rounds some activations to lower
   * precision.
   */
  private static final double AGAINST_JLAMA = 2e-3;

  private static final double AGAINST_REFERENCE = 1e-4;

  @TempDir Path directory;

  static Stream<Arguments> sharedWithJlama() {
    return Stream.of(
        Arguments.of("llama BF16", RandomModel.llama(1).type(ElementType.BF16)),
        Arguments.of(
            "llama F16 in three files", RandomModel.llama(2).type(ElementType.F16).shards(3)),
        Arguments.of("llama F32 tied", RandomModel.llama(3).tied()),
        Arguments.of("llama without grouped queries", RandomModel.llama(4).heads(4, 4)),
        Arguments.of("mistral BF16", RandomModel.mistral(5).type(ElementType.BF16)),
        Arguments.of("mistral F32", RandomModel.mistral(6)),
        Arguments.of("qwen2 BF16 with biases", RandomModel.qwen2(7).type(ElementType.BF16)),
        Arguments.of("qwen2 F32 tied", RandomModel.qwen2(8).tied()),
        Arguments.of(
            "llama with linear RoPE scaling",
            RandomModel.llama(9)
                .config("rope_scaling", Map.of("rope_type", "linear", "factor", 4.0))));
  }

  static Stream<Arguments> ours() {
    return Stream.concat(
        sharedWithJlama(),
        Stream.of(
            Arguments.of("llama with explicit head_dim", RandomModel.llama(11).headDim(48)),
            Arguments.of("llama with all biases", RandomModel.llama(12).attentionBias().mlpBias()),
            Arguments.of(
                "odd widths", RandomModel.llama(13).widths(132, 180).heads(6, 3).headDim(22)),
            Arguments.of(
                "llama3 RoPE scaling",
                RandomModel.llama(14)
                    .config(
                        "rope_scaling",
                        Map.of(
                            "rope_type", "llama3",
                            "factor", 8.0,
                            "low_freq_factor", 1.0,
                            "high_freq_factor", 4.0,
                            "original_max_position_embeddings", 64))),
            Arguments.of(
                "YaRN RoPE scaling",
                RandomModel.qwen2(15)
                    .config(
                        "rope_scaling",
                        Map.of(
                            "rope_type",
                            "yarn",
                            "factor",
                            4.0,
                            "original_max_position_embeddings",
                            64)))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("sharedWithJlama")
  void logitsAgreeWithJlama(String name, RandomModel model) {
    model.write(directory);
    int[] tokens = tokens(24);
    float[] expected;
    try (JlamaForward jlama = JlamaForward.open(directory)) {
      expected = jlama.lastLogits(tokens);
    }
    double[] wide = new double[expected.length];
    Arrays.setAll(wide, i -> expected[i]);
    assertClose(wide, ours(tokens), AGAINST_JLAMA);
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("ours")
  void logitsAgreeWithAnIndependentForwardPass(String name, RandomModel model) {
    model.write(directory);
    int[] tokens = tokens(90);
    assertClose(ReferenceForward.lastLogits(directory, tokens), ours(tokens), AGAINST_REFERENCE);
  }

  @Test
  void jlamasQ4WeightsAgreeWithAnIndependentForwardPass() {
    Path q4 = RandomModel.llama(21).type(ElementType.BF16).writeQ4(directory);
    int[] tokens = tokens(40);
    assertClose(ReferenceForward.lastLogits(q4, tokens), ours(q4, tokens), AGAINST_REFERENCE);
  }

  @Test
  void familiesThatAreNotSupportedAreRefusedByName() {
    RandomModel.llama(30).config("model_type", "bloom").write(directory);
    LorikeetException e = assertThrows(LorikeetException.class, () -> ours(tokens(3)));
    assertEquals(Code.MODEL_UNSUPPORTED, e.code());
    assertTrue(
        String.valueOf(e.getMessage()).contains("bloom")
            && String.valueOf(e.getMessage()).contains("llama"),
        e.getMessage());
  }

  private static int[] tokens(int count) {
    return new Random(count).ints(count, 3, RandomModel.VOCABULARY).toArray();
  }

  private float[] ours(int... tokens) {
    return ours(directory, tokens);
  }

  private static float[] ours(Path directory, int... tokens) {
    AtomicReference<float[]> logits = new AtomicReference<>(new float[0]);
    try (Lorikeet lorikeet =
        Lorikeet.builder(directory)
            .poolBytes(16L << 20)
            .modelOption("threads", "2")
            .modelOption("kv-type", "f32")
            .open()) {
      List<Integer> prompt = Arrays.stream(tokens).boxed().toList();
      lorikeet
          .submit(
              GenerationRequest.tokens(prompt).maxTokens(1).build(),
              RequestObserver.logits(
                  (index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
          .await();
    }
    return logits.get();
  }

  private static void assertClose(double[] expected, float[] found, double tolerance) {
    assertEquals(expected.length, found.length);
    double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], found[i], tolerance * largest, "logit " + i);
    }
  }
}
