package com.example.retrieval;

import dev.lorikeet.routing.Mixture;
import dev.lorikeet.routing.RequestContext;
import dev.lorikeet.routing.RequestRouter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Chooses the adapters whose example prompts are nearest to the request's prompt, after RAMoLE
 * (arXiv 2406.16989). Thread-safe.
 */
final class RetrievalRouter implements RequestRouter {
  /*
   * Idea: an adapter is what it is asked for. Its examples are embedded once; a prompt is embedded when it comes, and
   * an adapter scores the mean cosine of its nearest examples, so that an adapter with several kinds of work is not
   * judged by their average. The best adapters above a least score share the request, with the softmax of their scores
   * as weights. The paper embeds with a model trained for the purpose and weighs by a trained router; a general
   * sentence model and a softmax need no training. Cost: one run of the embedding model per request, a few milliseconds
   * on the submitting thread, and one dot product per example.
   */

  /**
   * How to choose.
   *
   * @param adapters how many adapters a request uses at most
   * @param nearest how many of an adapter's examples count
   * @param temperature of the softmax over scores: lower gives the best adapter more
   * @param leastScore what an adapter must score, from -1 to 1; below it the base model answers
   */
  record Settings(int adapters, int nearest, double temperature, double leastScore) {}

  private record Scored(String adapter, double score) {}

  private final Embedder embedder;
  private final Settings settings;
  private final Map<String, List<float[]>> examples = new TreeMap<>();

  RetrievalRouter(Embedder embedder, Map<String, List<String>> examples, Settings settings) {
    this.embedder = embedder;
    this.settings = settings;
    examples.forEach(
        (adapter, prompts) ->
            this.examples.put(adapter, prompts.stream().map(embedder::embed).toList()));
  }

  @Override
  public Mixture route(RequestContext context) {
    if (context.text().isBlank()) {
      return Mixture.none();
    }
    float[] prompt = embedder.embed(context.text());
    List<Scored> best = new ArrayList<>();
    examples.forEach(
        (adapter, embedded) -> {
          // Examples may speak of adapters that are not registered yet, or no more.
          if (Collections.binarySearch(context.adapters(), adapter) >= 0) {
            double score = score(prompt, embedded);
            if (score >= settings.leastScore()) {
              best.add(new Scored(adapter, score));
            }
          }
        });
    best.sort(Comparator.comparingDouble(Scored::score).reversed());
    return mixture(best.subList(0, Math.min(settings.adapters(), best.size())));
  }

  private double score(float[] prompt, List<float[]> embedded) {
    double[] cosines = embedded.stream().mapToDouble(e -> dot(prompt, e)).sorted().toArray();
    int from = Math.max(0, cosines.length - settings.nearest());
    return Arrays.stream(cosines, from, cosines.length).average().orElseThrow();
  }

  private static double dot(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += (double) a[i] * b[i];
    }
    return sum;
  }

  private Mixture mixture(List<Scored> best) {
    if (best.isEmpty()) {
      return Mixture.none();
    }
    double most = best.getFirst().score();
    double[] powers =
        best.stream()
            .mapToDouble(s -> Math.exp((s.score() - most) / settings.temperature()))
            .toArray();
    double sum = Arrays.stream(powers).sum();
    List<Mixture.Share> shares = new ArrayList<>();
    for (int i = 0; i < powers.length; i++) {
      shares.add(new Mixture.Share(best.get(i).adapter(), (float) (powers[i] / sum)));
    }
    return new Mixture(shares);
  }
}
