package dev.lorikeet.jlama.weights;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.safetensors.SafeTensorSupport;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.tensor.AbstractTensor;
import dev.lorikeet.files.family.Families;
import dev.lorikeet.files.model.Norm;
import dev.lorikeet.jlama.kernel.WeightMatrix;
import dev.lorikeet.jlama.weights.LayerWeights.Linear;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.ElementType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ModelWeightsTest {
  private static final long SEED = 7;

  @TempDir Path directory;

  private Path model() {
    return directory.resolve("model");
  }

  private static ModelWeights open(Path model) {
    return ModelWeights.open(model, Families.read(model));
  }

  @ParameterizedTest
  @EnumSource(ElementType.class)
  void floatingPointWeightsAreViewsOfTheFile(ElementType type) throws Exception {
    Path model = RandomModel.llama(SEED).type(type).write(model());

    try (ModelWeights weights = open(model)) {
      assertEquals(type.name(), weights.storage());
      var gate = (WeightMatrix.Floats) weights.layers().get(1).gate().weight();
      assertEquals(type, gate.type());
      assertTrue(gate.segment().isMapped());
      assertEqualsJlama(model, weights);
    }
  }

  @Test
  void shardsOfEveryFamilyHoldTheSameTensorsAsJlamaReads() throws Exception {
    List<RandomModel> models =
        List.of(
            RandomModel.llama(SEED).attentionBias().mlpBias().tied().shards(3),
            RandomModel.mistral(SEED).headDim(48).type(ElementType.BF16).shards(2),
            RandomModel.qwen2(SEED).heads(4, 4).type(ElementType.F16).shards(5));
    for (RandomModel random : models) {
      Path model = random.write(directory.resolve("model-" + models.indexOf(random)));
      try (ModelWeights weights = open(model)) {
        assertEqualsJlama(model, weights);
      }
    }
  }

  @Test
  void jlamasQ4IsReadWithItsScales() throws Exception {
    Path model = RandomModel.llama(SEED).type(ElementType.BF16).writeQ4(model());

    try (ModelWeights weights = open(model)) {
      assertEquals("Q4", weights.storage());
      assertTrue(weights.embedding() instanceof WeightMatrix.Q4);
      assertTrue(weights.layers().getFirst().down().weight() instanceof WeightMatrix.Q4);
      assertEqualsJlama(model, weights);
    }
  }

  @Test
  void biasesAreThereWhereTheFamilyHasThem() {
    try (ModelWeights llama = open(RandomModel.llama(SEED).write(directory.resolve("a")));
        ModelWeights biased =
            open(RandomModel.llama(SEED).attentionBias().mlpBias().write(directory.resolve("b")));
        ModelWeights qwen2 = open(RandomModel.qwen2(SEED).write(directory.resolve("c")))) {
      for (Projection projection : Projection.ofLayer()) {
        assertFalse(hasBias(llama, projection));
        assertTrue(hasBias(biased, projection));
        assertEquals(
            List.of(Projection.Q, Projection.K, Projection.V).contains(projection),
            hasBias(qwen2, projection));
      }
    }
  }

  private static boolean hasBias(ModelWeights weights, Projection projection) {
    return weights.layers().getFirst().linear(projection).bias().isPresent();
  }

  @Test
  void aTiedOutputIsTheEmbeddingItself() {
    try (ModelWeights weights = open(RandomModel.llama(SEED).tied().write(model()))) {
      assertSame(weights.embedding(), weights.output());
    }
  }

  @Test
  void jlamasModelsRunOnTheSameMappings() {
    Path model = RandomModel.qwen2(SEED).type(ElementType.BF16).write(model());
    int[] tokens = {1, 400, 3, 1999};
    try (ModelWeights weights = open(model);
        JlamaForward stock = JlamaForward.open(model);
        JlamaForward mapped = JlamaForward.open(model, new MappedWeightLoader(weights.stored()))) {
      // Jlama adds the lanes of a vector in an order that changes when its kernels are compiled.
      assertArrayEquals(stock.lastLogits(tokens), mapped.lastLogits(tokens), 1e-5f);
    }
  }

  @Test
  void closingUnmaps() {
    ModelWeights weights = open(RandomModel.llama(SEED).write(model()));
    var embedding = (WeightMatrix.Floats) weights.embedding();

    weights.close();
    weights.close();

    assertThrows(IllegalStateException.class, () -> embedding.get(0, 0));
  }

  /** Holds every tensor to the one that Jlama's own loader reads, in full or at random places. */
  private static void assertEqualsJlama(Path model, ModelWeights weights) throws Exception {
    try (WeightLoader jlama = SafeTensorSupport.loadWeights(model.toFile())) {
      assertMatrix(jlama, "model.embed_tokens.weight", weights.embedding());
      if (!Families.read(model).tiedEmbeddings()) {
        assertMatrix(jlama, "lm_head.weight", weights.output());
      }
      assertVector(jlama, "model.norm.weight", weights.finalNorm().weight());
      for (int i = 0; i < weights.layers().size(); i++) {
        LayerWeights layer = weights.layers().get(i);
        String prefix = "model.layers." + i + ".";
        assertVector(
            jlama,
            prefix + "input_layernorm.weight",
            layer.norm(Norm.Place.ATTENTION_INPUT).orElseThrow().weight());
        assertVector(
            jlama,
            prefix + "post_attention_layernorm.weight",
            layer.norm(Norm.Place.MLP_INPUT).orElseThrow().weight());
        for (Projection projection : Projection.ofLayer()) {
          Linear linear = layer.linear(projection);
          assertMatrix(jlama, prefix + projection.path() + ".weight", linear.weight());
          linear
              .bias()
              .ifPresent(b -> assertVector(jlama, prefix + projection.path() + ".bias", b));
        }
      }
    }
  }

  private static void assertMatrix(WeightLoader jlama, String name, WeightMatrix ours) {
    AbstractTensor<?, ?> theirs = jlama.load(name);
    assertEquals(theirs.shape().first(), ours.rows(), name);
    assertEquals(theirs.shape().last(), ours.columns(), name);
    Random random = new Random(SEED);
    for (int i = 0; i < 2000; i++) {
      int row = random.nextInt(ours.rows());
      int column = random.nextInt(ours.columns());
      assertEquals(theirs.get(row, column), ours.get(row, column), name);
    }
    int row = ours.rows() - 1;
    int column = ours.columns() - 1;
    assertEquals(theirs.get(row, column), ours.get(row, column), name);
  }

  private static void assertVector(WeightLoader jlama, String name, MemorySegment ours) {
    AbstractTensor<?, ?> theirs = jlama.load(name);
    assertEquals(theirs.size() * Float.BYTES, ours.byteSize(), name);
    for (int i = 0; i < theirs.size(); i++) {
      assertEquals(theirs.get(0, i), ours.getAtIndex(ValueLayout.JAVA_FLOAT, i), name);
    }
  }
}
