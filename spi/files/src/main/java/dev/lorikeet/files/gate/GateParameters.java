package dev.lorikeet.files.gate;

/**
 * The parameters of one gate as its file holds them: {@code logits = W f + b}, or {@code W relu(V f
 * + c) + b} with an inner layer. Matrices row after row; the arrays are not copied.
 *
 * @param innerWeight V, {@code [inner, features]}; empty without an inner layer
 * @param innerBias c, {@code [inner]}; likewise
 * @param weight W, {@code [experts, inner or features]}
 * @param bias b, {@code [experts]}
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record GateParameters(float[] innerWeight, float[] innerBias, float[] weight, float[] bias) {
  /** Returns a gate without an inner layer. */
  public static GateParameters linear(float[] weight, float[] bias) {
    return new GateParameters(new float[0], new float[0], weight, bias);
  }
}
