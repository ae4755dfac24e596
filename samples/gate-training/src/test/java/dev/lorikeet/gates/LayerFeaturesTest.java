package dev.lorikeet.gates;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.lorikeet.Lorikeet;
import dev.lorikeet.Plugins;
import dev.lorikeet.files.gate.GateForm;
import dev.lorikeet.files.gate.GateWriter;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.RouterConfig;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.tiny.TinyModel;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LayerFeaturesTest {
  private static final int HIDDEN = 256;

  @TempDir Path directory;

  /** Routes as another router does, and keeps what it sees. */
  private record Spy(LayerRouter router, List<List<float[]>> seen) implements LayerRouter {
    @Override
    public Experts experts() {
      return router.experts();
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int token = 0; token < in.tokens(); token++) {
        long row = token * in.hidden().rowStrideBytes();
        seen.get(in.layer())
            .add(
                in.hidden()
                    .segment()
                    .asSlice(row, (long) HIDDEN * Float.BYTES)
                    .toArray(JAVA_FLOAT_UNALIGNED));
      }
      router.route(in, out);
    }
  }

  @Test
  void gatesInTrainingSeeWhatTheyWillSeeOnceTheyAreSaved() throws IOException {
    TinyModel tiny = TinyModel.extract();
    Experts experts = new Experts(tiny.adapterNames(), 2);
    Plugins plugins = Plugins.discover();
    try (Lorikeet lorikeet =
        Lorikeet.builder(tiny.base()).plugins(plugins).poolBytes(64 << 20).open()) {
      tiny.adapterNames().forEach(name -> lorikeet.register(name, tiny.adapter(name)));
      List<Integer> tokens = lorikeet.model().encode("And the LORD said, let the whale be hunted.");
      MixedDocument document = new MixedDocument(tokens, tokens.stream().map(t -> 0).toList());
      // An inner layer begins with random weights, so that the gates prefer some adapters.
      Gates gates = new Gates(6, HIDDEN, 3, 4, new Random(8));
      LayerFeatures features = new LayerFeatures(lorikeet.model(), experts, gates);
      features.open(document);

      GateWriter.write(
          directory,
          new GateForm(true, experts, new RunningContext.None(), HIDDEN, 3),
          gates.fold(),
          Map.of());
      RouterConfig config =
          RouterConfig.of(lorikeet.model().info())
              .withOptions(Map.of("path", directory.toString()));
      LayerRouter saved = assertInstanceOf(LayerRouter.class, plugins.router("gate").open(config));
      Spy spy = new Spy(saved, IntStream.range(0, 6).mapToObj(i -> rows()).toList());
      lorikeet.addRouter("spy", spy);
      Scores.of(lorikeet.model(), List.of(document), AdapterChoice.routed("spy"), () -> {});

      assertEquals(6, features.gates());
      float[] x = new float[HIDDEN];
      for (int layer = 0; layer < 6; layer++) {
        assertEquals(tokens.size(), spy.seen().get(layer).size());
        for (int token = 0; token < tokens.size(); token++) {
          features.read(layer, token, x);
          assertArrayEquals(
              spy.seen().get(layer).get(token), x, 1e-3f, "layer " + layer + ", token " + token);
        }
      }
    }
  }

  private static List<float[]> rows() {
    return new ArrayList<>();
  }
}
