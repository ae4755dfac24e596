package dev.lorikeet.jlama;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.LoraFactor;
import dev.lorikeet.adapter.LoraWeights;
import dev.lorikeet.host.router.GateFiles;
import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.model.GenerationRequest;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tiny.TinyModel;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * The tiny model under random gates, token-wise and layer-wise, against the base weights plus
 * explicit weighted deltas in double precision, with decisions of its own.
 */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class GateReferenceTest {
  private static final double TOLERANCE = 2e-4;

  /** Where two logits at the border of the top-k are closer than this, rounding may decide. */
  private static final double NEAR_TIE = 1e-3;

  private static final float DECAY = 0.75f;
  private static final int TOP_K = 2;

  @TempDir Path directory;

  @Test
  void aTokenWiseGateGivesTheWeightedDeltasOfEachToken() {
    compare(0, DECAY, 0);
  }

  @Test
  void aTokenWiseGateWithAnInnerLayerDoesToo() {
    compare(0, DECAY, 24);
  }

  @Test
  void aLayerWiseGateGivesTheWeightedDeltasOfEachTokenAndLayer() {
    compare(TinyShape.LAYERS, -1, 0);
  }

  /** Sizes of the tiny model. */
  private static final class TinyShape {
    static final int LAYERS = 6;
    static final int HIDDEN = 256;
  }

  private void compare(int layers, double decay, int inner) {
    TinyModel tiny = TinyModel.extract();
    List<String> names = tiny.adapterNames();
    Random random = new Random(System.nanoTime());
    try (Opened opened = Opened.of(tiny, Opened.builder(tiny).modelOption("kv-type", "f32"))) {
      ModelShape shape = opened.lorikeet.model().info().shape();
      assertEquals(TinyShape.LAYERS, shape.layers());
      assertEquals(TinyShape.HIDDEN, shape.hidden());
      List<AdapterLease> leases = names.stream().map(opened.lorikeet.adapters()::acquire).toList();
      int compared = 0;
      for (int round = 0; round < 20 && compared < 3; round++) {
        long seed = random.nextLong();
        GateFiles gate = new GateFiles(seed, names, TOP_K, layers, TinyShape.HIDDEN, decay, inner);
        int[] tokens = new Random(seed).ints(12, 3, shape.vocabulary()).toArray();
        GateDeltas deltas = new GateDeltas(gate, leases, layers, decay, inner);
        double[] expected = ReferenceForward.lastLogits(tiny.base(), deltas, tokens);
        if (deltas.smallestMargin > NEAR_TIE) {
          opened.lorikeet.addRouter(
              "gate", Map.of("path", gate.write(directory.resolve("gate" + round)).toString()));
          assertClose(expected, logits(opened, tokens), "seed " + seed);
          compared++;
        }
      }
      leases.forEach(AdapterLease::close);
      assertTrue(compared > 0, "near ties in every round");
    }
  }

  private static float[] logits(Opened opened, int... tokens) {
    AtomicReference<float[]> logits = new AtomicReference<>(new float[0]);
    opened
        .lorikeet
        .submit(
            GenerationRequest.tokens(Arrays.stream(tokens).boxed().toList())
                .router("gate")
                .maxTokens(1)
                .build(),
            RequestObserver.logits((index, row) -> logits.set(row.toArray(ValueLayout.JAVA_FLOAT))))
        .await();
    return logits.get();
  }

  private static void assertClose(double[] expected, float[] found, String about) {
    double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
    assertEquals(expected.length, found.length);
    for (int i = 0; i < expected.length; i++) {
      assertEquals(expected[i], found[i], TOLERANCE * largest, about + ", logit " + i);
    }
  }

  /** Decides by a gate and adds the deltas, all in double precision. */
  private static final class GateDeltas implements ReferenceForward.Deltas {
    private final GateFiles gate;
    private final List<AdapterLease> leases;
    private final boolean byLayer;
    private final double decay;
    private final int inner;
    private final List<double[]> byToken = new ArrayList<>();
    private double[] mean = {};
    double smallestMargin = Double.POSITIVE_INFINITY;

    GateDeltas(GateFiles gate, List<AdapterLease> leases, int layers, double decay, int inner) {
      this.gate = gate;
      this.leases = leases;
      this.byLayer = layers > 0;
      this.decay = decay;
      this.inner = inner;
    }

    @Override
    public void embedded(int token, double[] embedding) {
      if (byLayer) {
        byToken.add(new double[leases.size()]);
        return;
      }
      double[] features = new double[2 * embedding.length];
      mean = token == 0 ? embedding.clone() : mean;
      for (int i = 0; i < embedding.length; i++) {
        mean[i] = decay * mean[i] + (1 - decay) * embedding[i];
        features[i] = embedding[i];
        features[embedding.length + i] = mean[i];
      }
      byToken.add(weights(0, features));
    }

    @Override
    public void layerInput(int layer, int token, double[] input) {
      if (byLayer) {
        byToken.set(token, weights(layer, input));
      }
    }

    private double[] weights(int layer, double[] features) {
      double[] last = features;
      if (inner > 0) {
        last = affine("inner", layer, features, inner);
        for (int i = 0; i < inner; i++) {
          last[i] = Math.max(0, last[i]);
        }
      }
      double[] logits = affine("gate", layer, last, leases.size());
      List<Integer> order =
          IntStream.range(0, logits.length)
              .boxed()
              .sorted(Comparator.comparingDouble(e -> -logits[e]))
              .toList();
      smallestMargin =
          Math.min(smallestMargin, logits[order.get(TOP_K - 1)] - logits[order.get(TOP_K)]);
      double sum = 0;
      for (int e : order.subList(0, TOP_K)) {
        sum += Math.exp(logits[e] - logits[order.getFirst()]);
      }
      double[] weights = new double[logits.length];
      for (int e : order.subList(0, TOP_K)) {
        weights[e] = Math.exp(logits[e] - logits[order.getFirst()]) / sum;
      }
      return weights;
    }

    private double[] affine(String name, int layer, double[] x, int rows) {
      float[] weight = gate.values(name + ".weight");
      double[] y = new double[rows];
      for (int r = 0; r < rows; r++) {
        y[r] = gate.values(name + ".bias")[layer * rows + r];
        for (int i = 0; i < x.length; i++) {
          y[r] += (double) weight[(layer * rows + r) * x.length + i] * x[i];
        }
      }
      return y;
    }

    @Override
    public void add(int layer, Projection projection, int token, double[] x, double[] y) {
      double[] weights = byToken.get(token);
      for (int e = 0; e < weights.length; e++) {
        if (weights[e] != 0) {
          LoraWeights lora =
              leases.get(e).weights(TargetModule.of(layer, projection)).orElseThrow();
          for (int r = 0; r < lora.rank(); r++) {
            double shrunk = 0;
            for (int i = 0; i < x.length; i++) {
              shrunk += element(lora.a(), r, i) * x[i];
            }
            for (int o = 0; o < y.length; o++) {
              y[o] += weights[e] * lora.scaling() * shrunk * element(lora.b(), r, o);
            }
          }
        }
      }
    }

    private static double element(LoraFactor factor, int row, int column) {
      long at = factor.rowOffset(row) + (long) column * factor.type().bytes();
      return factor.type().read(factor.memory(), at);
    }
  }
}
