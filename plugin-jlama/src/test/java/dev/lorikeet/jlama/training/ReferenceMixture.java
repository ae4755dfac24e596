package dev.lorikeet.jlama.training;

import dev.lorikeet.jlama.decoder.ReferenceForward;
import dev.lorikeet.shape.Projection;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * A mixture of experts and its loss, written as the formulas are in double precision: read from the
 * files that a task wrote.
 */
final class ReferenceMixture {
  /** All that learns, by file and tensor. */
  final Map<String, double[]> parameters = new TreeMap<>();

  private final OpenedStage opened;
  private final int experts;
  private final int topK;
  private final List<ReferenceAdapter> adapters = new ArrayList<>();
  private final double balancing;

  ReferenceMixture(
      OpenedStage opened, Path directory, int experts, int topK, double scaling, double balancing) {
    this.opened = opened;
    this.experts = experts;
    this.topK = topK;
    this.balancing = balancing;
    String name = directory.getFileName().toString();
    for (int e = 0; e < experts; e++) {
      String prefix = e + " ";
      ReferenceAdapter adapter =
          new ReferenceAdapter(directory.resolve(name + "-" + (e + 1)), scaling);
      adapter.parameters.forEach((tensor, values) -> parameters.put(prefix + tensor, values));
      adapters.add(adapter);
    }
    parameters.putAll(ReferenceAdapter.read(directory.resolve("router.safetensors")));
  }

  /** Which experts each token of each sequence uses. */
  List<int[][]> choices(List<int[]> sequences) {
    List<int[][]> all = new ArrayList<>();
    for (int[] ids : sequences) {
      int[][] choices = new int[ids.length][];
      for (int t = 0; t < ids.length; t++) {
        double[] logits = logits(ids[t]);
        choices[t] =
            IntStream.range(0, experts)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer e) -> -logits[e]))
                .limit(topK)
                .mapToInt(e -> e)
                .toArray();
      }
      all.add(choices);
    }
    return all;
  }

  private double[] logits(int id) {
    double[] weight = get("gate.weight");
    double[] logits = get("gate.bias").clone();
    int hidden = weight.length / experts;
    for (int e = 0; e < experts; e++) {
      for (int i = 0; i < hidden; i++) {
        logits[e] += weight[e * hidden + i] * opened.weights().embedding().get(id, i);
      }
    }
    return logits;
  }

  private double[] get(String name) {
    return Objects.requireNonNull(parameters.get(name), name);
  }

  /** Returns the mean cross-entropy of all tokens but the first of each sequence. */
  double crossEntropy(List<int[]> sequences, List<int[][]> choices) {
    double loss = 0;
    int labels = 0;
    for (int s = 0; s < sequences.size(); s++) {
      int[] ids = sequences.get(s);
      double[][] logits =
          ReferenceForward.logits(
              opened.architecture(), opened.weights(), new Mixed(ids, choices.get(s)), ids);
      for (int t = 0; t + 1 < ids.length; t++) {
        loss += Math.log(Arrays.stream(logits[t]).map(Math::exp).sum()) - logits[t][ids[t + 1]];
        labels++;
      }
    }
    return loss / labels;
  }

  /** Returns how unevenly experts are used, 1 where all are alike. */
  double balance(List<int[]> sequences, List<int[][]> choices) {
    double[] used = new double[experts];
    double[] likely = new double[experts];
    int tokens = 0;
    for (int s = 0; s < sequences.size(); s++) {
      for (int t = 0; t < sequences.get(s).length; t++) {
        double[] logits = logits(sequences.get(s)[t]);
        double all = Arrays.stream(logits).map(Math::exp).sum();
        for (int e = 0; e < experts; e++) {
          likely[e] += Math.exp(logits[e]) / all;
        }
        for (int e : choices.get(s)[t]) {
          used[e] += 1.0 / topK;
        }
        tokens++;
      }
    }
    double sum = 0;
    for (int e = 0; e < experts; e++) {
      sum += experts * (used[e] / tokens) * (likely[e] / tokens);
    }
    return sum;
  }

  double loss(List<int[]> sequences, List<int[][]> choices) {
    return crossEntropy(sequences, choices) + balancing * balance(sequences, choices);
  }

  private final class Mixed implements ReferenceForward.Deltas {
    private final int[] ids;
    private final int[][] choices;

    Mixed(int[] ids, int[][] choices) {
      this.ids = ids;
      this.choices = choices;
    }

    @Override
    public void embedded(int token, double[] embedding) {}

    @Override
    public void layerInput(int layer, int token, double[] input) {}

    @Override
    public void add(int layer, Projection projection, int token, double[] x, double[] y) {
      double[] logits = logits(ids[token]);
      double all = Arrays.stream(choices[token]).mapToDouble(e -> Math.exp(logits[e])).sum();
      for (int e : choices[token]) {
        adapters.get(e).addWeighted(layer, projection, Math.exp(logits[e]) / all, x, y);
      }
    }
  }
}
