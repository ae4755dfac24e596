package dev.lorikeet.host.router;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.Router;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.routing.TokenRouter;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GateRouterTest {
  private static final int HIDDEN = 37;
  private static final int LAYERS = 3;

  @TempDir Path directory;

  private static Router open(Path directory) {
    ModelShape shape =
        ModelShape.builder()
            .layers(LAYERS)
            .hidden(HIDDEN)
            .intermediate(40)
            .heads(1)
            .kvHeads(1)
            .headDim(HIDDEN)
            .vocabulary(10)
            .build();
    ModelInfo model =
        ModelInfo.builder(Path.of("none"), "llama", shape)
            .weightType("F32")
            .maxPositions(16)
            .build();
    return new GateRouterProvider()
        .open(RouterConfig.of(model).withOptions(Map.of("path", directory.toString())));
  }

  private static GateFiles token() {
    return new GateFiles(1, GateFiles.names(4), 2, 0, HIDDEN, 0.9, 0);
  }

  /** Rows of normally distributed numbers. */
  private static Tensor rows(Arena arena, Random random, int tokens) {
    MemorySegment segment = arena.allocate(ValueLayout.JAVA_FLOAT, (long) tokens * HIDDEN);
    for (int i = 0; i < tokens * HIDDEN; i++) {
      segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
    }
    return Tensor.host(segment, ElementType.F32, tokens, HIDDEN);
  }

  static Stream<Arguments> gates() {
    return Stream.of(
        Arguments.of(8, 2, 0, -1.0, 0),
        Arguments.of(5, 3, 0, 0.5, 0),
        Arguments.of(4, 1, 0, 0.9, 19),
        Arguments.of(3, 3, LAYERS, -1.0, 0),
        Arguments.of(6, 2, LAYERS, -1.0, 33));
  }

  @ParameterizedTest
  @MethodSource("gates")
  void weightsAreTheSoftmaxOfTheLargestLogits(
      int experts, int topK, int layers, double decay, int inner) {
    long seed = System.nanoTime();
    GateFiles files =
        new GateFiles(seed, GateFiles.names(experts), topK, layers, HIDDEN, decay, inner);
    Gate gate = GateFile.read(files.write(directory));
    Random random = new Random(seed + 1);
    int tokens = 20;
    for (boolean vectors : List.of(true, false)) {
      GateKernel kernel = new GateKernel(gate, vectors);
      for (int layer = 0; layer < Math.max(1, layers); layer++) {
        try (Arena arena = Arena.ofConfined()) {
          Tensor hidden = rows(arena, random, tokens);
          Tensor context = rows(arena, random, tokens);
          RoutingOutput out = new RoutingOutput().reset(tokens, gate.shape.experts());
          kernel.route(
              RoutingInput.of(
                  tokens, layer, hidden, decay < 0 ? Optional.empty() : Optional.of(context)),
              layer,
              out);
          for (int t = 0; t < tokens; t++) {
            double[] logits = logits(files, layer, inner, features(hidden, context, t, decay));
            assertDecision(logits, topK, out, t, "seed " + seed + ", vectors " + vectors);
          }
        }
      }
    }
  }

  private static double[] features(Tensor hidden, Tensor context, int token, double decay) {
    double[] features = new double[decay < 0 ? HIDDEN : 2 * HIDDEN];
    for (int i = 0; i < features.length; i++) {
      Tensor from = i < HIDDEN ? hidden : context;
      features[i] =
          from.segment().getAtIndex(ValueLayout.JAVA_FLOAT, (long) token * HIDDEN + i % HIDDEN);
    }
    return features;
  }

  private static double[] logits(GateFiles files, int layer, int inner, double[] features) {
    double[] last = features;
    if (inner > 0) {
      last = affine(files, "inner", layer, features);
      for (int i = 0; i < last.length; i++) {
        last[i] = Math.max(0, last[i]);
      }
    }
    return affine(files, "gate", layer, last);
  }

  private static double[] affine(GateFiles files, String name, int layer, double[] x) {
    int gates = files.json.get("layers") instanceof Integer layers ? layers : 1;
    int rows = files.values(name + ".bias").length / gates;
    double[] y = new double[rows];
    for (int r = 0; r < rows; r++) {
      y[r] = files.values(name + ".bias")[layer * rows + r];
      for (int i = 0; i < x.length; i++) {
        y[r] += (double) files.values(name + ".weight")[(layer * rows + r) * x.length + i] * x[i];
      }
    }
    return y;
  }

  private static void assertDecision(
      double[] logits, int topK, RoutingOutput out, int token, String about) {
    List<Integer> order =
        IntStream.range(0, logits.length)
            .boxed()
            .sorted(Comparator.comparingDouble(e -> -logits[e]))
            .limit(topK)
            .toList();
    double sum = order.stream().mapToDouble(e -> Math.exp(logits[e])).sum();
    assertEquals(topK, out.count(token), about);
    for (int k = 0; k < topK; k++) {
      int expert = out.expert(token, k);
      assertTrue(order.contains(expert), about + ": chose " + expert + " of " + order);
      assertEquals(Math.exp(logits[expert]) / sum, out.weight(token, k), 1e-4, about);
    }
  }

  @Test
  void theScopeAndContextAreThoseOfTheFile() {
    TokenRouter router = assertInstanceOf(TokenRouter.class, open(token().write(directory)));
    assertEquals(List.of("a", "b", "c", "d"), router.experts().adapters());
    assertEquals(2, router.experts().topK());
    assertEquals(new RunningContext.MeanEmbedding(0.9f), router.context());

    GateFiles layers = new GateFiles(1, GateFiles.names(2), 1, LAYERS, HIDDEN, -1, 0);
    assertInstanceOf(LayerRouter.class, open(layers.write(directory)));

    GateFiles last = token();
    last.json.put("context", "last-hidden");
    assertEquals(
        new RunningContext.LastHidden(), ((TokenRouter) open(last.write(directory))).context());
  }

  @Test
  void extremeInputsGiveFiniteWeights() {
    Gate gate = GateFile.read(token().write(directory));
    try (Arena arena = Arena.ofConfined()) {
      Tensor rows = rows(arena, new Random(1), 1);
      for (int i = 0; i < HIDDEN; i++) {
        rows.segment()
            .setAtIndex(ValueLayout.JAVA_FLOAT, i, i % 2 == 0 ? Float.MAX_VALUE : -Float.MAX_VALUE);
      }
      RoutingOutput out = new RoutingOutput().reset(1, gate.shape.experts());
      new GateKernel(gate).route(RoutingInput.of(1, 0, rows, Optional.of(rows)), 0, out);
      assertEquals(1, out.weight(0, 0) + out.weight(0, 1), 1e-6);
    }
  }

  @Test
  void aStateThatIsNoNumberIsRefused() {
    TokenRouter router = (TokenRouter) open(token().write(directory));
    try (Arena arena = Arena.ofConfined()) {
      Tensor rows = rows(arena, new Random(1), 1);
      rows.segment().set(ValueLayout.JAVA_FLOAT, 0, Float.NaN);
      RoutingOutput out = new RoutingOutput().reset(1, router.experts());
      assertThrows(
          IllegalArgumentException.class,
          () -> router.route(RoutingInput.of(1, 0, rows, Optional.of(rows)), out));
    }
  }

  static Stream<Arguments> spoilt() {
    return Stream.of(
        spoilt("format", f -> f.json.put("format", "other")),
        spoilt("version", f -> f.json.put("version", 2)),
        spoilt("scope", f -> f.json.put("scope", "request")),
        spoilt("scope", f -> f.json.remove("scope")),
        spoilt("layers", f -> f.json.put("scope", "layer")),
        spoilt("experts", f -> f.json.put("experts", List.of())),
        spoilt("experts", f -> f.json.put("experts", List.of("a", "a", "b", "c"))),
        spoilt("experts", f -> f.json.put("experts", List.of(1, 2))),
        spoilt("top_k", f -> f.json.put("top_k", 5)),
        spoilt("top_k", f -> f.json.put("top_k", 0)),
        spoilt("context", f -> f.json.put("context", "everything")),
        spoilt("decay", f -> f.json.put("decay", 1.0)),
        spoilt("decay", f -> f.json.put("decay", -0.1)),
        spoilt("decay", f -> f.json.remove("decay")),
        spoilt("gate.weight", f -> f.json.put("hidden_size", HIDDEN + 1)),
        spoilt("hidden_size", f -> f.json.put("hidden_size", 1L << 40)),
        spoilt("gate.weight", f -> f.json.put("inner_size", 8)),
        spoilt("gate.weight", f -> f.values("gate.weight")[5] = Float.NaN),
        spoilt("gate.bias", f -> f.values("gate.bias")[1] = Float.POSITIVE_INFINITY),
        spoilt("gate.bias", f -> f.tensors.remove("gate.bias")),
        spoilt("surprise", f -> f.tensors.put("surprise", new GateFiles.Stored(List.of(1), one()))),
        spoilt(
            "gate.bias", f -> f.tensors.put("gate.bias", new GateFiles.Stored(List.of(1), one()))));
  }

  private static FloatBuffer one() {
    return FloatBuffer.allocate(1);
  }

  private static Arguments spoilt(String named, Consumer<GateFiles> spoil) {
    return Arguments.of(named, spoil);
  }

  @ParameterizedTest
  @MethodSource("spoilt")
  void damagedFilesAreRefusedByName(String named, Consumer<GateFiles> spoil) {
    GateFiles files = token();
    spoil.accept(files);
    files.write(directory);
    LorikeetException e = assertThrows(LorikeetException.class, () -> open(directory));
    assertEquals(Code.ROUTER_FAILED, e.code());
    assertTrue(e.getMessage().contains(named), e.getMessage());
    assertTrue(e.getMessage().contains("router."), e.getMessage());
    assertTrue(e.getMessage().contains("expected"), e.getMessage());
  }

  @Test
  void missingAndTruncatedFilesAreRefusedByName() throws IOException {
    LorikeetException none = assertThrows(LorikeetException.class, () -> open(directory));
    assertTrue(none.getMessage().contains("router.json"), none.getMessage());

    token().write(directory);
    Path weights = directory.resolve("router.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    Files.write(weights, Arrays.copyOf(bytes, bytes.length - 4));
    LorikeetException cut = assertThrows(LorikeetException.class, () -> open(directory));
    assertTrue(cut.getMessage().contains("router.safetensors"), cut.getMessage());
  }

  @Test
  void aGateForAnotherModelIsRefused() {
    new GateFiles(1, GateFiles.names(4), 2, 0, HIDDEN + 1, 0.9, 0).write(directory);
    LorikeetException e = assertThrows(LorikeetException.class, () -> open(directory));
    assertTrue(e.getMessage().contains("hidden_size: expected 37"), e.getMessage());
  }

  @Test
  void aGateOfLayersMustHaveTheModelsLayers() {
    GateFiles files = new GateFiles(1, GateFiles.names(2), 1, LAYERS + 1, HIDDEN, -1, 0);
    files.write(directory);
    LorikeetException e = assertThrows(LorikeetException.class, () -> open(directory));
    assertTrue(e.getMessage().contains("layers: expected 3"), e.getMessage());
  }
}
