package dev.lorikeet.shape;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TargetModuleTest {
  private static final ModelShape SHAPE =
      new ModelShape(2, 24, 40, 4, 2, 8, 100, ModuleNames.LLAMA);

  @Test
  void namesAreThoseOfHuggingFace() {
    assertEquals("model.layers.3.self_attn.q_proj", TargetModule.of(3, Projection.Q).moduleName());
    assertEquals("model.layers.0.mlp.down_proj", TargetModule.of(0, Projection.DOWN).toString());
    assertEquals(
        "model.layers.3.mlp.experts.5.gate_proj",
        TargetModule.ofExpert(3, Projection.GATE, 5).moduleName());
    assertEquals("model.embed_tokens", TargetModule.embedding().moduleName());
    assertEquals("lm_head", TargetModule.output().moduleName());
  }

  @Test
  void factoriesSayWhatTheModuleBelongsTo() {
    TargetModule plain = TargetModule.of(3, Projection.UP);
    TargetModule expert = TargetModule.ofExpert(3, Projection.UP, 0);
    assertFalse(plain.isExpert());
    assertEquals(TargetModule.NONE, plain.expert());
    assertTrue(expert.isExpert());
    assertEquals(0, expert.expert());
    assertNotEquals(plain, expert);
    assertEquals(plain, TargetModule.of(3, Projection.UP));
    assertEquals(plain.hashCode(), TargetModule.of(3, Projection.UP).hashCode());
    assertEquals(TargetModule.NONE, TargetModule.embedding().layer());
    assertEquals(Projection.EMBED, TargetModule.embedding().projection());
    assertEquals(Projection.LM_HEAD, TargetModule.output().projection());
  }

  @Test
  void modulesThatDoNotExistAreRefused() {
    assertRefused("layer: expected >= 0, found -1", () -> TargetModule.of(-1, Projection.Q));
    assertRefused(
        "layer: expected none for lm_head, found 0", () -> TargetModule.of(0, Projection.LM_HEAD));
    assertRefused(
        "layer: expected none for embed, found 2", () -> TargetModule.of(2, Projection.EMBED));
    assertRefused(
        "expert: expected >= 0, found -1", () -> TargetModule.ofExpert(0, Projection.UP, -1));
    assertRefused(
        "expert: expected >= 0 and gate, up or down, found 1 and q",
        () -> TargetModule.ofExpert(0, Projection.Q, 1));
    assertRefused(
        "expert: expected >= 0 and gate, up or down, found 1 and embed",
        () -> new TargetModule(TargetModule.NONE, Projection.EMBED, 1));
  }

  private static void assertRefused(String message, Runnable action) {
    assertEquals(message, assertThrows(IllegalArgumentException.class, action::run).getMessage());
  }

  @Test
  void theOrderIsByLayerThenProjectionThenExpert() {
    List<TargetModule> sorted =
        List.of(
            TargetModule.embedding(),
            TargetModule.output(),
            TargetModule.of(0, Projection.Q),
            TargetModule.of(0, Projection.K),
            TargetModule.of(0, Projection.GATE),
            TargetModule.ofExpert(0, Projection.GATE, 0),
            TargetModule.ofExpert(0, Projection.GATE, 10),
            TargetModule.ofExpert(0, Projection.UP, 2),
            TargetModule.of(1, Projection.Q),
            TargetModule.of(10, Projection.DOWN));
    long seed = new Random().nextLong();
    List<TargetModule> mixed = new ArrayList<>(sorted);
    Collections.shuffle(mixed, new Random(seed));
    Collections.sort(mixed);
    assertEquals(sorted, mixed, () -> "seed " + seed);
    assertEquals(0, TargetModule.output().compareTo(TargetModule.output()));
  }

  @Test
  void aLayerHasSevenProjectionsInTheOrderOfTheirUse() {
    assertEquals("[q, k, v, o, gate, up, down]", Projection.ofLayer().toString());
    assertEquals("[gate, up, down]", Projection.ofExpert().toString());
    for (Projection projection : Projection.values()) {
      boolean linear = Projection.ofLayer().contains(projection);
      assertEquals(linear || projection == Projection.ROUTER, projection.isOfLayer());
      assertEquals(
          linear ? Optional.of(projection) : Optional.empty(),
          Projection.ofModuleName(projection.moduleName()),
          "the name within a layer");
    }
  }

  @Test
  void embeddingsAndOutputHaveTheSizesOfTheVocabulary() {
    assertEquals(100, SHAPE.inFeatures(Projection.EMBED));
    assertEquals(24, SHAPE.outFeatures(Projection.EMBED));
    assertEquals(24, SHAPE.inFeatures(Projection.LM_HEAD));
    assertEquals(100, SHAPE.outFeatures(Projection.LM_HEAD));
    assertEquals(32, SHAPE.outFeatures(Projection.Q));
    assertEquals(40, SHAPE.inFeatures(Projection.DOWN));
  }
}
