package dev.lorikeet.files.gate;

import dev.lorikeet.routing.Experts;
import dev.lorikeet.routing.RunningContext;

/**
 * What a gate is, without its parameters.
 *
 * @param perLayer whether there is a gate and a decision for every layer, or one before the first
 *     layer for all
 * @param experts the adapters in the order of the logits, and how many a token uses
 * @param context what is seen of a token's past; none for gates of layers
 * @param hidden the base model's hidden size
 * @param inner width of an inner layer, 0 without one
 */
public record GateForm(
    boolean perLayer, Experts experts, RunningContext context, int hidden, int inner) {}
