package dev.lorikeet.host.router;

/**
 * A trained gate: {@code logits = W f + b}, or {@code W relu(V f + c) + b} with an inner layer, of
 * a token's features f. Arrays hold one matrix or vector after the other for each layer, the last
 * dimension varying fastest; they are only read.
 */
final class Gate {
  final GateShape shape;

  /** V, {@code [layers, inner, features]}. */
  final float[] innerWeight;

  /** c, {@code [layers, inner]}. */
  final float[] innerBias;

  /** W, {@code [layers, experts, inner or features]}. */
  final float[] weight;

  /** b, {@code [layers, experts]}. */
  final float[] bias;

  /** Takes the arrays over. */
  Gate(GateShape shape, float[] innerWeight, float[] innerBias, float[] weight, float[] bias) {
    this.shape = shape;
    this.innerWeight = innerWeight;
    this.innerBias = innerBias;
    this.weight = weight;
    this.bias = bias;
  }
}
