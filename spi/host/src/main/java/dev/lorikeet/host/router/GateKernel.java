package dev.lorikeet.host.router;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED;

import dev.lorikeet.routing.RoutingInput;
import dev.lorikeet.routing.RoutingOutput;
import dev.lorikeet.tensor.Tensor;
import java.lang.foreign.MemorySegment;

/** Decides for tokens by a gate. Used by one thread at a time; allocates nothing. */
final class GateKernel {
  /*
   * Idea: softmax over the k largest logits, as sparse mixtures of experts gate (Shazeer et al., arXiv 1701.06538) and
   * LoRA-Switch (arXiv 2405.17741) after them. Of equal logits the first wins.
   *
   * A token costs experts * features multiplications (features * inner + inner * experts with an inner layer) and one
   * copy of its rows, so that products run over arrays. Products are float32 on the Vector API; where that is missing,
   * or where their result is not finite because inputs are extreme, they are plain loops in double precision, which
   * cannot overflow on finite input: a float's largest exponent is 127, a double's 1023, and a chain of two products
   * has three factors. The choice between the two depends on the token alone.
   */
  private static final boolean VECTORS =
      ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();

  private final Gate gate;
  private final boolean vectors;
  private final float[] features;
  private final float[] inner;
  private final float[] logits;
  private final float[] lanes = new float[VectorAffine.MAX_LANES];
  private final double[] exactInner;
  private final double[] exactLogits;
  private final int[] chosen;
  private final double[] shares;

  GateKernel(Gate gate) {
    this(gate, VECTORS);
  }

  GateKernel(Gate gate, boolean vectors) {
    this.gate = gate;
    this.vectors = vectors;
    int experts = gate.shape.experts().adapters().size();
    this.features = new float[gate.shape.features()];
    this.inner = new float[gate.shape.inner()];
    this.logits = new float[experts];
    this.exactInner = new double[gate.shape.inner()];
    this.exactLogits = new double[experts];
    this.chosen = new int[gate.shape.experts().topK()];
    this.shares = new double[gate.shape.experts().topK()];
  }

  /** Decides for all tokens of a call, by the gate of a layer, from 0. */
  void route(RoutingInput in, int layer, RoutingOutput out) {
    check(in.hidden(), in.tokens());
    if (in.context().isPresent()) {
      check(in.context().get(), in.tokens());
    }
    boolean withContext = gate.shape.features() > gate.shape.hidden();
    for (int token = 0; token < in.tokens(); token++) {
      copy(in.hidden(), token, 0);
      if (withContext) {
        copy(in.context().orElseThrow(), token, gate.shape.hidden());
      }
      if (!(vectors && fastLogits(layer))) {
        exactLogits(layer);
      }
      choose(token, out);
    }
  }

  private void check(Tensor tensor, int tokens) {
    if (tensor.columns() != gate.shape.hidden() || tensor.rows() < tokens) {
      throw new IllegalArgumentException(
          "gate: expected rows of " + gate.shape.hidden() + " features, found " + tensor);
    }
  }

  private void copy(Tensor from, int row, int to) {
    MemorySegment.copy(
        from.segment(),
        JAVA_FLOAT_UNALIGNED,
        row * from.rowStrideBytes(),
        features,
        to,
        gate.shape.hidden());
  }

  /** Computes the logits in float32; returns whether they are finite. */
  private boolean fastLogits(int layer) {
    int experts = logits.length;
    int width = features.length;
    float[] last = features;
    if (inner.length > 0) {
      VectorAffine.apply(
          gate.innerWeight,
          layer * inner.length * width,
          gate.innerBias,
          layer * inner.length,
          features,
          inner,
          lanes);
      for (int i = 0; i < inner.length; i++) {
        inner[i] = Math.max(0f, inner[i]);
      }
      last = inner;
    }
    VectorAffine.apply(
        gate.weight,
        layer * experts * last.length,
        gate.bias,
        layer * experts,
        last,
        logits,
        lanes);
    for (int e = 0; e < experts; e++) {
      if (!Float.isFinite(logits[e])) {
        return false;
      }
      exactLogits[e] = logits[e];
    }
    return true;
  }

  private void exactLogits(int layer) {
    int experts = exactLogits.length;
    int width = features.length;
    for (int i = 0; i < inner.length; i++) {
      double sum = gate.innerBias[layer * inner.length + i];
      int row = (layer * inner.length + i) * width;
      for (int f = 0; f < width; f++) {
        sum += (double) gate.innerWeight[row + f] * features[f];
      }
      exactInner[i] = Math.max(0, sum);
    }
    int inputs = gate.shape.lastInputs();
    for (int e = 0; e < experts; e++) {
      double sum = gate.bias[layer * experts + e];
      int row = (layer * experts + e) * inputs;
      for (int i = 0; i < inputs; i++) {
        sum += gate.weight[row + i] * (inner.length > 0 ? exactInner[i] : features[i]);
      }
      exactLogits[e] = sum;
    }
  }

  private void choose(int token, RoutingOutput out) {
    double sum = 0;
    for (int k = 0; k < chosen.length; k++) {
      int best = -1;
      for (int e = 0; e < exactLogits.length; e++) {
        if (!taken(e, k) && (best < 0 || exactLogits[e] > exactLogits[best])) {
          best = e;
        }
      }
      chosen[k] = best;
      shares[k] = Math.exp(exactLogits[best] - exactLogits[chosen[0]]);
      sum += shares[k];
    }
    for (int k = 0; k < chosen.length; k++) {
      out.choose(token, chosen[k], (float) (shares[k] / sum));
    }
  }

  private boolean taken(int expert, int count) {
    for (int k = 0; k < count; k++) {
      if (chosen[k] == expert) {
        return true;
      }
    }
    return false;
  }
}
