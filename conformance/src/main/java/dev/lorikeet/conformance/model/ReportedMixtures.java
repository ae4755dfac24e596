package dev.lorikeet.conformance.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.conformance.model.ModelBench.Running;
import dev.lorikeet.conformance.model.PlainTransformer.Choice;
import dev.lorikeet.conformance.model.PlainTransformer.Share;
import dev.lorikeet.conformance.tensor.MemoryAdapter;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.routing.Mixture;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A generation whose tokens say which mixtures computed them.
 *
 * @param running the generation
 * @param tokens its tokens as they come
 */
record ReportedMixtures(Running running, List<GeneratedToken> tokens) {
  private static final double TOLERANCE = 1e-3;

  static ReportedMixtures submit(ModelBench bench, List<Integer> prompt, AdapterChoice choice) {
    List<GeneratedToken> tokens = Collections.synchronizedList(new ArrayList<>());
    return new ReportedMixtures(
        bench.submit(prompt, r -> r.adapter(choice).reportMixture(), tokens::add), tokens);
  }

  /** Waits for the end and checks what was reported against the exact choice. */
  void expect(ModelBench bench, Choice choice, String what) {
    List<Integer> generated = running.await(bench.trial).result().tokens();
    Watched watched = new Watched(choice, bench.tiny.shape.layers());
    PlainTransformer.Sequence sequence = bench.tiny.transformer.new Sequence();
    for (int token : running.prompt()) {
      sequence.next(token, watched);
    }
    for (int i = 0; i < generated.size(); i++) {
      int index = i;
      Mixture mixture =
          tokens
              .get(i)
              .mixture()
              .orElseThrow(
                  () -> new AssertionError(what + ": token " + index + " comes without a mixture"));
      Map<String, Double> found = new HashMap<>();
      mixture.shares().forEach(s -> found.put(s.adapter(), (double) s.weight()));
      Map<String, Double> exact = new HashMap<>();
      watched.mean.forEach((adapter, weight) -> exact.put(name(bench, adapter), weight));
      assertEquals(exact.keySet(), found.keySet(), () -> what + ": adapters of token " + index);
      exact.forEach(
          (adapter, weight) ->
              assertTrue(
                  Math.abs(weight - found.getOrDefault(adapter, Double.NaN)) <= TOLERANCE,
                  () ->
                      what
                          + ": weight of '"
                          + adapter
                          + "' for token "
                          + index
                          + ": expected "
                          + weight
                          + ", found "
                          + found));
      sequence.next(generated.get(i), watched);
    }
  }

  private static String name(ModelBench bench, List<MemoryAdapter.Factors> factors) {
    return bench.adapters.entrySet().stream()
        .filter(e -> e.getValue().factors().equals(factors))
        .map(Map.Entry::getKey)
        .findFirst()
        .orElseThrow();
  }

  /** Passes a choice on, and keeps the mean over the layers of the last token's weights. */
  private static final class Watched implements Choice {
    private final Choice choice;
    private final int layers;
    private final Map<List<MemoryAdapter.Factors>, Double> mean = new HashMap<>();

    Watched(Choice choice, int layers) {
      this.choice = choice;
      this.layers = layers;
    }

    @Override
    public void embedded(double[] embedding) {
      mean.clear();
      choice.embedded(embedding);
    }

    @Override
    public List<Share> shares(int layer, double[] layerInput) {
      List<Share> shares = choice.shares(layer, layerInput);
      for (Share share : shares) {
        mean.merge(share.adapter(), share.weight() / layers, Double::sum);
      }
      return shares;
    }
  }
}
