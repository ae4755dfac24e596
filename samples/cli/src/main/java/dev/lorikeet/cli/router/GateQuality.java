package dev.lorikeet.cli.router;

/**
 * How well a gate does on documents.
 *
 * @param loss what was trained for, in nats per token
 * @param crossEntropy mean cross-entropy with the labels, in nats per token
 * @param accuracy how often the likeliest adapter is the label
 */
public record GateQuality(double loss, double crossEntropy, double accuracy) {}
