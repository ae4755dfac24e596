package dev.lorikeet.gates;

import java.util.ArrayList;
import java.util.List;

/** Mean and scale of the features of a gate, by which they are standardized. */
final class Moments {
  final float[] mean;
  final float[] scale;

  Moments(float[] mean, float[] scale) {
    this.mean = mean;
    this.scale = scale;
  }

  /** Returns those of every gate over documents; the scale is 1 where a feature is constant. */
  static List<Moments> of(GateFeatures features, List<MixedDocument> documents) {
    int size = features.size();
    double[][] sums = new double[features.gates()][size];
    double[][] squares = new double[features.gates()][size];
    float[] x = new float[size];
    long count = 0;
    for (MixedDocument document : documents) {
      features.open(document);
      for (int gate = 0; gate < sums.length; gate++) {
        for (int token = 0; token < document.tokens().size(); token++) {
          features.read(gate, token, x);
          for (int i = 0; i < size; i++) {
            sums[gate][i] += x[i];
            squares[gate][i] += (double) x[i] * x[i];
          }
        }
      }
      count += document.tokens().size();
    }
    List<Moments> moments = new ArrayList<>();
    for (int gate = 0; gate < sums.length; gate++) {
      moments.add(of(sums[gate], squares[gate], count));
    }
    return moments;
  }

  private static Moments of(double[] sums, double[] squares, long count) {
    float[] means = new float[sums.length];
    float[] scales = new float[sums.length];
    for (int i = 0; i < sums.length; i++) {
      double average = sums[i] / count;
      double variance = squares[i] / count - average * average;
      means[i] = (float) average;
      scales[i] = variance > 1e-12 ? (float) Math.sqrt(variance) : 1f;
    }
    return new Moments(means, scales);
  }

  void standardize(float[] features) {
    for (int i = 0; i < features.length; i++) {
      features[i] = (features[i] - mean[i]) / scale[i];
    }
  }
}
