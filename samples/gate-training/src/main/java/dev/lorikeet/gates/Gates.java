package dev.lorikeet.gates;

import dev.lorikeet.files.gate.GateParameters;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * The gates in training, one for tokens or one for each layer, each with the moments by which it
 * standardizes its features. Not thread-safe.
 */
final class Gates {
  final int experts;
  private final List<GateNetwork> networks = new ArrayList<>();
  private List<Moments> moments = new ArrayList<>();

  /** Creates gates; without an inner layer they find all adapters equally good. */
  Gates(int count, int features, int inner, int experts, Random random) {
    this.experts = experts;
    float[] ones = new float[features];
    java.util.Arrays.fill(ones, 1f);
    for (int gate = 0; gate < count; gate++) {
      networks.add(new GateNetwork(features, inner, experts, random));
      moments.add(new Moments(new float[features], ones));
    }
  }

  int count() {
    return networks.size();
  }

  /** Sets the moments of each gate's features. */
  void standardizeBy(List<Moments> all) {
    moments = List.copyOf(all);
  }

  /** Standardizes a token's features in place and writes the softmax of a gate's logits. */
  void forward(int gate, float[] x, double[] probabilities) {
    moments.get(gate).standardize(x);
    networks.get(gate).forward(x, probabilities);
  }

  /** Follows {@link #forward} on the same features; see {@link GateNetwork#backward}. */
  void backward(int gate, float[] x, double[] byLogit) {
    networks.get(gate).backward(x, byLogit);
  }

  /** Takes a step with every gate; see {@link GateNetwork#step}. */
  void step(int tokens, double rate, double decay) {
    networks.forEach(network -> network.step(tokens, rate, decay));
  }

  /** Returns copies of the parameters, to go back to. */
  List<float[]> snapshot() {
    return networks.stream().map(GateNetwork::snapshot).toList();
  }

  void restore(List<float[]> snapshot) {
    for (int gate = 0; gate < networks.size(); gate++) {
      networks.get(gate).restore(snapshot.get(gate));
    }
  }

  /** Returns the gates for features that are not standardized. */
  List<GateParameters> fold() {
    List<GateParameters> folded = new ArrayList<>();
    for (int gate = 0; gate < networks.size(); gate++) {
      folded.add(networks.get(gate).fold(moments.get(gate)));
    }
    return folded;
  }
}
