package dev.lorikeet.cli.router;

import dev.lorikeet.routing.RunningContext;
import java.util.List;

/**
 * The features that a token-wise gate sees, token by token along a document: the embedding, then
 * the running context, as {@link RunningContext} defines it. Not thread-safe.
 */
final class TokenFeatures {
  private final TokenEmbeddings embeddings;
  private final RunningContext context;
  private final float[] mean;
  private boolean begun;

  /**
   * Creates a walker.
   *
   * @param context none or a mean embedding: the final hidden state is known of generated tokens
   *     alone, and given text has none
   */
  TokenFeatures(TokenEmbeddings embeddings, RunningContext context) {
    if (context instanceof RunningContext.LastHidden) {
      throw new IllegalArgumentException("context: expected none or a mean embedding");
    }
    this.embeddings = embeddings;
    this.context = context;
    this.mean = new float[embeddings.hidden()];
  }

  /** Returns how many features a token has. */
  int size() {
    return context instanceof RunningContext.None ? mean.length : 2 * mean.length;
  }

  /** Goes to the beginning of a document. */
  void restart() {
    begun = false;
  }

  /** Writes the features of the document's next token. */
  void next(int token, float[] features) {
    float[] row = embeddings.row(token);
    System.arraycopy(row, 0, features, 0, row.length);
    if (context instanceof RunningContext.MeanEmbedding(float decay)) {
      for (int i = 0; i < row.length; i++) {
        mean[i] = begun ? decay * mean[i] + (1 - decay) * row[i] : row[i];
      }
      System.arraycopy(mean, 0, features, row.length, row.length);
      begun = true;
    }
  }

  /**
   * Returns mean and scale of every feature over documents: the scale is 1 where it is constant.
   */
  Moments moments(List<MixedDocument> documents) {
    int size = size();
    double[] sum = new double[size];
    double[] squares = new double[size];
    float[] features = new float[size];
    long count = 0;
    for (MixedDocument document : documents) {
      restart();
      for (int token : document.tokens()) {
        next(token, features);
        for (int i = 0; i < size; i++) {
          sum[i] += features[i];
          squares[i] += (double) features[i] * features[i];
        }
        count++;
      }
    }
    float[] means = new float[size];
    float[] scales = new float[size];
    for (int i = 0; i < size; i++) {
      double average = sum[i] / count;
      double variance = squares[i] / count - average * average;
      means[i] = (float) average;
      scales[i] = variance > 1e-12 ? (float) Math.sqrt(variance) : 1f;
    }
    return new Moments(means, scales);
  }

  /** Mean and scale of features. */
  static final class Moments {
    final float[] mean;
    final float[] scale;

    Moments(float[] mean, float[] scale) {
      this.mean = mean;
      this.scale = scale;
    }

    void standardize(float[] features) {
      for (int i = 0; i < features.length; i++) {
        features[i] = (features[i] - mean[i]) / scale[i];
      }
    }
  }
}
