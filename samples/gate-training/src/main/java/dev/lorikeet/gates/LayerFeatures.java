package dev.lorikeet.gates;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.model.BaseModel;
import dev.lorikeet.model.HiddenPoint;
import dev.lorikeet.model.Prompt;
import dev.lorikeet.model.RequestObserver;
import dev.lorikeet.model.ScoreRequest;
import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.LayerRouter;
import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Set;

/** The features that layer-wise gates see along a document: what enters each layer. */
final class LayerFeatures implements GateFeatures {
  /*
   * What enters a layer depends on the mixtures of the layers before it. So a document is scored with the gates in
   * training as its router, and the score is observed: each layer learns from what the others, as they are by now, make
   * of the document. Nothing is stored beyond one document, [layers, tokens, hidden]; the price is a pass of the model
   * for each document of each epoch, without its backward half.
   */
  private static final String ROUTER = "gates-in-training";

  private final BaseModel model;
  private final Experts experts;
  private final Gates gates;
  private final int hidden;
  private final float[][] rows;
  private final int[] seen;

  /** Creates features of no document, seen by gates as they route at the time. */
  LayerFeatures(BaseModel model, Experts experts, Gates gates) {
    this.model = model;
    this.experts = experts;
    this.gates = gates;
    this.hidden = model.info().shape().hidden();
    this.rows = new float[gates.count()][0];
    this.seen = new int[gates.count()];
  }

  @Override
  public int gates() {
    return rows.length;
  }

  @Override
  public int size() {
    return hidden;
  }

  @Override
  public void open(MixedDocument document) {
    int tokens = document.tokens().size();
    Arrays.fill(seen, 0);
    for (int layer = 0; layer < rows.length; layer++) {
      if (rows[layer].length < tokens * hidden) {
        rows[layer] = new float[tokens * hidden];
      }
    }
    model.addRouter(ROUTER, new Likeliest(experts, gates, hidden));
    Scores.await(
        model.score(
            ScoreRequest.of(new Prompt.Tokens(document.tokens()), AdapterChoice.routed(ROUTER)),
            RequestObserver.hidden(
                Set.of(HiddenPoint.LAYER_INPUT),
                (point, layer, first, shown) -> keep(layer, first, shown))));
    for (int layer = 0; layer < seen.length; layer++) {
      if (seen[layer] != tokens) {
        throw new IllegalStateException(
            "layer "
                + layer
                + ": expected the hidden states of "
                + tokens
                + " tokens, found "
                + seen[layer]);
      }
    }
  }

  private void keep(int layer, int first, Tensor shown) {
    for (int r = 0; r < shown.rows(); r++) {
      MemorySegment.copy(
          shown.segment(),
          JAVA_FLOAT_UNALIGNED,
          r * shown.rowStrideBytes(),
          rows[layer],
          (first + r) * hidden,
          hidden);
    }
    seen[layer] = first + (int) shown.rows();
  }

  @Override
  public void read(int gate, int token, float[] features) {
    System.arraycopy(rows[gate], token * hidden, features, 0, hidden);
  }

  /** Routes by the gates as they are. */
  private static final class Likeliest implements LayerRouter {
    private final Experts experts;
    private final Gates gates;
    private final float[] x;
    private final double[] probabilities;

    Likeliest(Experts experts, Gates gates, int hidden) {
      this.experts = experts;
      this.gates = gates;
      this.x = new float[hidden];
      this.probabilities = new double[gates.experts];
    }

    @Override
    public Experts experts() {
      return experts;
    }

    @Override
    public void route(RoutingInput in, RoutingOutput out) {
      for (int token = 0; token < in.tokens(); token++) {
        long offset = token * in.hidden().rowStrideBytes();
        MemorySegment.copy(in.hidden().segment(), JAVA_FLOAT_UNALIGNED, offset, x, 0, x.length);
        gates.forward(in.layer(), x, probabilities);
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
