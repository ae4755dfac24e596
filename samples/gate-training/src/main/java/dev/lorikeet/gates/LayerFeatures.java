package dev.lorikeet.gates;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** The features that layer-wise gates see along a document: what enters each layer. */
final class LayerFeatures implements GateFeatures {
  /*
   * What enters a layer depends on the mixtures of the layers before it. So a document is scored with the gates in
   * training as its router, which keep what they see: each layer learns from what the others, as they are by now, make
   * of the document. Nothing is stored beyond one document, [layers, tokens, hidden]; the price is a pass of the model
   * for each document of each epoch, without its backward half.
   */
  private static final String RECORDER = "layer-recorder";

  private final BaseModel model;
  private final int hidden;
  private final Recorder recorder;

  /** Creates features of no document, seen by gates as they route at the time. */
  LayerFeatures(BaseModel model, Experts experts, Gates gates) {
    this.model = model;
    this.hidden = model.info().shape().hidden();
    this.recorder = new Recorder(experts, gates, hidden);
  }

  @Override
  public int gates() {
    return recorder.rows.length;
  }

  @Override
  public int size() {
    return hidden;
  }

  @Override
  public void open(MixedDocument document) {
    int tokens = document.tokens().size();
    recorder.begin(tokens);
    model.addRouter(RECORDER, recorder);
    Scores.await(
        model.score(
            ScoreRequest.of(
                new Prompt.Tokens(document.tokens()), new AdapterChoice.Routed(RECORDER))));
    for (int layer = 0; layer < recorder.seen.length; layer++) {
      if (recorder.seen[layer] != tokens) {
        throw new IllegalStateException(
            "layer "
                + layer
                + ": expected the hidden states of "
                + tokens
                + " tokens, found "
                + recorder.seen[layer]);
      }
    }
  }

  @Override
  public void read(int gate, int token, float[] features) {
    System.arraycopy(recorder.rows[gate], token * hidden, features, 0, hidden);
  }

  /** Routes by the gates and keeps what they see; serves one request at a time. */
  private static final class Recorder implements LayerRouter {
    private final Experts experts;
    private final Gates gates;
    private final int hidden;
    private final float[][] rows;
    private final int[] seen;
    private final float[] x;
    private final double[] probabilities;

    Recorder(Experts experts, Gates gates, int hidden) {
      this.experts = experts;
      this.gates = gates;
      this.hidden = hidden;
      this.rows = new float[gates.count()][0];
      this.seen = new int[gates.count()];
      this.x = new float[hidden];
      this.probabilities = new double[gates.experts];
    }

    void begin(int tokens) {
      Arrays.fill(seen, 0);
      for (int layer = 0; layer < rows.length; layer++) {
        if (rows[layer].length < tokens * hidden) {
          rows[layer] = new float[tokens * hidden];
        }
      }
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      int layer = in.layer();
      for (int token = 0; token < in.tokens(); token++) {
        int at = seen[layer]++ * hidden;
        long offset = token * in.hidden().rowStrideBytes();
        MemorySegment.copy(
            in.hidden().segment(), JAVA_FLOAT_UNALIGNED, offset, rows[layer], at, hidden);
        System.arraycopy(rows[layer], at, x, 0, hidden);
        gates.forward(layer, x, probabilities);
        choose(token, out);
      }
    }

    /** Chooses the likeliest experts, the first among equals, with weights that sum to one. */
    private void choose(int token, RoutingOutput out) {
      int topK = experts.topK();
      double[] ranked = probabilities.clone();
      Arrays.sort(ranked);
      double least = ranked[ranked.length - topK];
      double sum = 0;
      for (int k = ranked.length - topK; k < ranked.length; k++) {
        sum += ranked[k];
      }
      int chosen = 0;
      for (int e = 0; e < probabilities.length; e++) {
        if (probabilities[e] > least) {
          out.choose(token, e, (float) (probabilities[e] / sum));
          chosen++;
        }
      }
      for (int e = 0; e < probabilities.length && chosen < topK; e++) {
        if (probabilities[e] == least) {
          out.choose(token, e, (float) (probabilities[e] / sum));
          chosen++;
        }
      }
    }
  }
}
