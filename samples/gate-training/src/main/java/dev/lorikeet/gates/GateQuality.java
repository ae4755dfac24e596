package dev.lorikeet.gates;

import java.util.List;

/**
 * How well a gate does on documents.
 *
 * @param loss what was trained for, in nats per token
 * @param crossEntropy mean cross-entropy with the labels, in nats per token
 * @param accuracy how often the likeliest adapter is the label
 */
public record GateQuality(double loss, double crossEntropy, double accuracy) {
  /** Returns the mean of several gates. */
  static GateQuality mean(List<GateQuality> gates) {
    return new GateQuality(
        gates.stream().mapToDouble(GateQuality::loss).average().orElseThrow(),
        gates.stream().mapToDouble(GateQuality::crossEntropy).average().orElseThrow(),
        gates.stream().mapToDouble(GateQuality::accuracy).average().orElseThrow());
  }
}
