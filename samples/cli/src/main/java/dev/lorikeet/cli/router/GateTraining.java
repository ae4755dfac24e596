package dev.lorikeet.cli.router;

import dev.lorikeet.model.Score;
import dev.lorikeet.routing.RunningContext;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;

/** Learns a token-wise gate from documents and evidence of which adapter serves each token best. */
final class GateTraining {
  /*
   * Idea: token t has evidence a[t, e] >= 0 for each adapter e, and the loss is - log sum over e of g[t, e] a[t, e], g being the gate's softmax. With the probability of the next token under
   * each adapter as evidence this is the language-model loss of a mixture whose outputs, not weights, are mixed (Jacobs et al., 1991); with a one for the adapter of the token's label, and zeros, it is
   * cross-entropy. Either way the gradient by the logits is g - r, where r is g a, normalized: no pass back through the base model.
   *
   * Documents are walked whole, since the running context is. A batch is a few documents.
   */
  private static final int BATCH_DOCUMENTS = 4;

  /**
   * Settings.
   *
   * @param context what the gate sees beside the embedding
   * @param inner width of the inner layer, 0 for none
   * @param epochs passes over the training documents
   * @param rate Adam's learning rate; falls to zero along a line
   * @param decay weight decay
   * @param seed for first weights and the order of documents
   */
  record Settings(
      RunningContext context, int inner, int epochs, double rate, double decay, long seed) {}

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

  final TokenFeatures features;
  final TokenFeatures.Moments moments;
  final GateNetwork network;
  private final Settings settings;
  private final float[] x;
  private final double[] probabilities;
  private final double[] byLogit;

  GateTraining(TokenEmbeddings embeddings, List<Example> training, int experts, Settings settings) {
    this.settings = settings;
    this.features = new TokenFeatures(embeddings, settings.context());
    this.moments = features.moments(training.stream().map(e -> e.document).toList());
    this.network =
        new GateNetwork(features.size(), settings.inner(), experts, new Random(settings.seed()));
    this.x = new float[features.size()];
    this.probabilities = new double[experts];
    this.byLogit = new double[experts];
  }

  /**
   * Trains, and keeps the parameters of the epoch with the least loss on the validation documents.
   *
   * @param onEpoch told of each epoch's quality on the validation documents
   * @return the quality of what was kept
   */
  GateQuality run(List<Example> training, List<Example> validation, Consumer<GateQuality> onEpoch) {
    List<Example> order = new ArrayList<>(training);
    Random random = new Random(settings.seed() + 1);
    GateQuality best = quality(validation);
    float[] kept = network.snapshot();
    for (int epoch = 0; epoch < settings.epochs(); epoch++) {
      Collections.shuffle(order, random);
      for (int from = 0; from < order.size(); from += BATCH_DOCUMENTS) {
        int tokens = 0;
        for (Example example :
            order.subList(from, Math.min(order.size(), from + BATCH_DOCUMENTS))) {
          tokens += learn(example);
        }
        double done = (epoch + (double) from / order.size()) / settings.epochs();
        network.step(Math.max(1, tokens), settings.rate() * (1 - done), settings.decay());
      }
      GateQuality quality = quality(validation);
      onEpoch.accept(quality);
      if (quality.loss() < best.loss()) {
        best = quality;
        kept = network.snapshot();
      }
    }
    network.restore(kept);
    return best;
  }

  private int learn(Example example) {
    int tokens = 0;
    features.restart();
    for (int t = 0; t < example.evidence.length; t++) {
      features.next(example.document.tokens().get(t), x);
      double[] evidence = example.evidence[t];
      if (evidence.length == 0) {
        continue;
      }
      moments.standardize(x);
      network.forward(x, probabilities);
      double total = total(evidence);
      for (int e = 0; e < evidence.length; e++) {
        byLogit[e] = probabilities[e] - probabilities[e] * evidence[e] / total;
      }
      network.backward(x, byLogit);
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

  /** Returns how well the gate does on documents. */
  GateQuality quality(List<Example> examples) {
    double loss = 0;
    double crossEntropy = 0;
    int right = 0;
    int tokens = 0;
    for (Example example : examples) {
      features.restart();
      for (int t = 0; t < example.evidence.length; t++) {
        features.next(example.document.tokens().get(t), x);
        if (example.evidence[t].length == 0) {
          continue;
        }
        moments.standardize(x);
        network.forward(x, probabilities);
        loss -= Math.log(total(example.evidence[t]));
        int label = example.document.labels().get(t);
        crossEntropy -= Math.log(probabilities[label] + 1e-30);
        right += likeliest() == label ? 1 : 0;
        tokens++;
      }
    }
    return new GateQuality(loss / tokens, crossEntropy / tokens, right / (double) tokens);
  }

  private int likeliest() {
    int best = 0;
    for (int e = 1; e < probabilities.length; e++) {
      best = probabilities[e] > probabilities[best] ? e : best;
    }
    return best;
  }
}
