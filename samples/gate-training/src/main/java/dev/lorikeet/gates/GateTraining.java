package dev.lorikeet.gates;

import dev.lorikeet.model.Score;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/** Learns gates from documents and evidence of which adapter serves each token best. */
final class GateTraining {
  /*
   * Idea: token t has evidence a[t, e] >= 0 for each adapter e, and the loss is - log sum over e of g[t, e] a[t, e], g
   * being the gate's softmax. With the probability of the next token under each adapter as evidence this is the
   * language-model loss of a mixture whose outputs, not weights, are mixed (Jacobs et al., 1991); with a one for the
   * adapter of the token's label, and zeros, it is cross-entropy. Either way the gradient by the logits is g - r, where
   * r is g a, normalized: no pass back through the base model.
   *
   * Each gate of several, one a layer, has that loss for itself, on what it sees: how its choice changes what the
   * layers above make of a token is not followed. A batch is a few documents.
   */
  private static final int BATCH_DOCUMENTS = 4;

  /**
   * Settings.
   *
   * @param epochs passes over the training documents
   * @param rate Adam's learning rate; falls to zero along a line
   * @param decay weight decay
   * @param seed for the order of documents
   */
  record Settings(int epochs, double rate, double decay, long seed) {}

  /** A document and the evidence on its tokens. */
  static final class Example {
    final MixedDocument document;

    /** {@code [tokens][experts]}; a token without a row is passed over. */
    final double[][] evidence;

    Example(MixedDocument document, double[][] evidence) {
      this.document = document;
      this.evidence = evidence;
    }

    /**
     * An adapter is as right as it finds the next token likely, relative to the likeliest adapter.
     *
     * @param scores the document's scores under each adapter
     */
    static Example ofLikelihoods(MixedDocument document, List<Score> scores) {
      double[][] evidence = new double[document.tokens().size()][];
      for (int t = 0; t < evidence.length - 1; t++) {
        double[] row = new double[scores.size()];
        double largest = Double.NEGATIVE_INFINITY;
        for (int e = 0; e < row.length; e++) {
          row[e] = scores.get(e).logProbabilities().get(t);
          largest = Math.max(largest, row[e]);
        }
        for (int e = 0; e < row.length; e++) {
          row[e] = Math.exp(row[e] - largest);
        }
        evidence[t] = row;
      }
      evidence[evidence.length - 1] = new double[0];
      return new Example(document, evidence);
    }

    /** The adapter of the token's label is right, the others are wrong. */
    static Example ofLabels(MixedDocument document, int experts) {
      double[][] evidence = new double[document.tokens().size()][experts];
      for (int t = 0; t < evidence.length; t++) {
        evidence[t][document.labels().get(t)] = 1;
      }
      return new Example(document, evidence);
    }
  }

  private final GateFeatures features;
  private final Gates gates;
  private final Settings settings;
  private final float[] x;
  private final double[] probabilities;
  private final double[] byLogit;

  GateTraining(GateFeatures features, Gates gates, Settings settings) {
    this.features = features;
    this.gates = gates;
    this.settings = settings;
    this.x = new float[features.size()];
    this.probabilities = new double[gates.experts];
    this.byLogit = new double[gates.experts];
  }

  /**
   * Trains, and keeps the parameters of the epoch with the least loss on the validation documents.
   *
   * @param onEpoch told of each epoch's quality on the validation documents, the mean of all gates
   * @return the quality of each gate that was kept
   */
  List<GateQuality> run(
      List<Example> training, List<Example> validation, Consumer<GateQuality> onEpoch) {
    List<Example> order = new ArrayList<>(training);
    Random random = new Random(settings.seed());
    List<GateQuality> best = quality(validation);
    List<float[]> kept = gates.snapshot();
    for (int epoch = 0; epoch < settings.epochs(); epoch++) {
      Collections.shuffle(order, random);
      for (int from = 0; from < order.size(); from += BATCH_DOCUMENTS) {
        int tokens = 0;
        for (Example example :
            order.subList(from, Math.min(order.size(), from + BATCH_DOCUMENTS))) {
          tokens += learn(example);
        }
        double done = (epoch + (double) from / order.size()) / settings.epochs();
        gates.step(Math.max(1, tokens), settings.rate() * (1 - done), settings.decay());
      }
      List<GateQuality> quality = quality(validation);
      onEpoch.accept(GateQuality.mean(quality));
      if (GateQuality.mean(quality).loss() < GateQuality.mean(best).loss()) {
        best = quality;
        kept = gates.snapshot();
      }
    }
    gates.restore(kept);
    return best;
  }

  /** Adds to the gates' gradients; returns how many tokens there were to learn from. */
  private int learn(Example example) {
    features.open(example.document);
    int tokens = 0;
    for (int t = 0; t < example.evidence.length; t++) {
      double[] evidence = example.evidence[t];
      if (evidence.length == 0) {
        continue;
      }
      for (int gate = 0; gate < gates.count(); gate++) {
        features.read(gate, t, x);
        gates.forward(gate, x, probabilities);
        double total = total(evidence);
        for (int e = 0; e < evidence.length; e++) {
          byLogit[e] = probabilities[e] - probabilities[e] * evidence[e] / total;
        }
        gates.backward(gate, x, byLogit);
      }
      tokens++;
    }
    return tokens;
  }

  private double total(double[] evidence) {
    double total = 1e-30;
    for (int e = 0; e < evidence.length; e++) {
      total += probabilities[e] * evidence[e];
    }
    return total;
  }

  /** Returns how well each gate does on documents. */
  private List<GateQuality> quality(List<Example> examples) {
    double[] loss = new double[gates.count()];
    double[] crossEntropy = new double[gates.count()];
    int[] right = new int[gates.count()];
    int tokens = 0;
    for (Example example : examples) {
      features.open(example.document);
      for (int t = 0; t < example.evidence.length; t++) {
        if (example.evidence[t].length == 0) {
          continue;
        }
        int label = example.document.labels().get(t);
        for (int gate = 0; gate < gates.count(); gate++) {
          features.read(gate, t, x);
          gates.forward(gate, x, probabilities);
          loss[gate] -= Math.log(total(example.evidence[t]));
          crossEntropy[gate] -= Math.log(probabilities[label] + 1e-30);
          right[gate] += likeliest() == label ? 1 : 0;
        }
        tokens++;
      }
    }
    List<GateQuality> qualities = new ArrayList<>();
    for (int gate = 0; gate < gates.count(); gate++) {
      qualities.add(
          new GateQuality(
              loss[gate] / tokens, crossEntropy[gate] / tokens, right[gate] / (double) tokens));
    }
    return qualities;
  }

  private int likeliest() {
    int best = 0;
    for (int e = 1; e < probabilities.length; e++) {
      best = probabilities[e] > probabilities[best] ? e : best;
    }
    return best;
  }
}
