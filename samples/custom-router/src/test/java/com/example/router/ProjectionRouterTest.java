package com.example.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.PluginKind;
import dev.lorikeet.Plugins;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ProjectionRouterTest {
  private static final int HIDDEN = 16;
  private static final ModelInfo MODEL =
      ModelInfo.builder(
              Path.of("model"),
              "llama",
              ModelShape.builder()
                  .layers(1)
                  .hidden(HIDDEN)
                  .intermediate(8)
                  .heads(1)
                  .kvHeads(1)
                  .headDim(8)
                  .vocabulary(8)
                  .build())
          .weightType("F32")
          .maxPositions(8)
          .build();

  private static TokenRouter open(Map<String, String> options) {
    return (TokenRouter)
        Plugins.discover().router("projection").open(RouterConfig.of(MODEL).withOptions(options));
  }

  private static int[] route(TokenRouter router, float[] hidden, int tokens) {
    Tensor rows = Tensor.host(MemorySegment.ofArray(hidden), ElementType.F32, tokens, HIDDEN);
    RoutingOutput out = new RoutingOutput().reset(tokens, router.experts());
    router.route(RoutingInput.of(tokens, 0, rows), out);
    int[] experts = new int[tokens];
    for (int token = 0; token < tokens; token++) {
      assertEquals(1, out.count(token));
      experts[token] = out.expert(token, 0);
    }
    return experts;
  }

  private static float[] embeddings(int tokens) {
    long seed = System.nanoTime();
    System.out.println("seed " + seed);
    Random random = new Random(seed);
    float[] hidden = new float[tokens * HIDDEN];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) random.nextGaussian();
    }
    return hidden;
  }

  @Test
  void theServiceFileMakesTheRouterKnown() {
    assertTrue(
        Plugins.discover().list().stream()
            .anyMatch(
                p ->
                    p.kind() == PluginKind.ROUTER
                        && p.name().equals("projection")
                        && p.isAvailable()));
  }

  @Test
  void aTokenGoesToTheSameExpertWhateverElseIsInTheBatch() {
    TokenRouter router = open(Map.of("adapters", "a,b,c"));
    float[] hidden = embeddings(64);
    int[] together = route(router, hidden, 64);
    for (int token = 0; token < 64; token++) {
      float[] alone = Arrays.copyOfRange(hidden, token * HIDDEN, (token + 1) * HIDDEN);
      assertEquals(together[token], route(router, alone, 1)[0]);
    }
  }

  @Test
  void everyExpertGetsSomeTokens() {
    int[] experts = route(open(Map.of("adapters", "a,b,c")), embeddings(500), 500);
    Set<Integer> used = new HashSet<>();
    for (int expert : experts) {
      used.add(expert);
    }
    assertEquals(Set.of(0, 1, 2), used);
  }

  @Test
  void theOrderOfTheAdaptersIsTheOrderOfTheExperts() {
    assertEquals(List.of("b", "a"), open(Map.of("adapters", "b,a")).experts().adapters());
  }

  @Test
  void anUnknownOptionIsRefusedByName() {
    var refusal =
        assertThrows(
            IllegalArgumentException.class, () -> open(Map.of("adapters", "a", "colour", "red")));
    assertTrue(String.valueOf(refusal.getMessage()).contains("unknown option 'colour'"));
  }

  @Test
  void theAdaptersMustBeGiven() {
    assertThrows(IllegalArgumentException.class, () -> open(Map.of()));
  }
}
