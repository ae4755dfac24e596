package dev.lorikeet.training.pipeline;

import dev.lorikeet.training.stage.StageSpan;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Cuts a model into stages so that the slowest is as fast as it can be.
 *
 * @param embedding what comes before the first layer, in any unit of time
 * @param layers each layer, forward and backward, in the same unit
 * @param scoring what comes behind the last layer
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record StageCut(double embedding, double[] layers, double scoring) {
  /** Returns the cost of a model all of whose layers are alike. */
  public static StageCut ofEqualLayers(double embedding, double layer, int layers, double scoring) {
    double[] all = new double[layers];
    Arrays.fill(all, layer);
    return new StageCut(embedding, all, scoring);
  }

  /** Returns the cost of a stage. */
  public double of(StageSpan span) {
    double sum = (span.embeds() ? embedding : 0) + (span.scores() ? scoring : 0);
    for (int layer = span.first(); layer < span.end(); layer++) {
      sum += layers[layer];
    }
    return sum;
  }

  private StageSpan span(int first, int end) {
    return new StageSpan(first, end, first == 0, end == layers.length);
  }

  /**
   * Returns the stages, in their order, each with at least one layer.
   *
   * @throws IllegalArgumentException if there are more stages than layers
   */
  public List<StageSpan> into(int stages) {
    if (stages < 1 || stages > layers.length) {
      throw new IllegalArgumentException(
          "stages: expected 1 to " + layers.length + ", the layers of the model, found " + stages);
    }
    // slowest[s][l]: the least that the slowest of s stages can cost that have the layers below l.
    double[][] slowest = new double[stages + 1][layers.length + 1];
    int[][] lastBegins = new int[stages + 1][layers.length + 1];
    for (double[] row : slowest) {
      Arrays.fill(row, Double.POSITIVE_INFINITY);
    }
    slowest[0][0] = 0;
    for (int s = 1; s <= stages; s++) {
      for (int end = s; end <= layers.length; end++) {
        for (int first = s - 1; first < end; first++) {
          double cost = Math.max(slowest[s - 1][first], of(span(first, end)));
          if (cost < slowest[s][end]) {
            slowest[s][end] = cost;
            lastBegins[s][end] = first;
          }
        }
      }
    }
    List<StageSpan> spans = new ArrayList<>();
    int end = layers.length;
    for (int s = stages; s > 0; s--) {
      spans.addFirst(span(lastBegins[s][end], end));
      end = lastBegins[s][end];
    }
    return spans;
  }
}
