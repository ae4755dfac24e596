package dev.lorikeet.jlama.weights;

import dev.lorikeet.files.model.Architecture;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.shape.ModelInfo;

/**
 * A served model's weights, for whoever computes over them beside its decoder. What computes knows
 * of nothing that serving could do without, so {@link dev.lorikeet.model.BaseModel#extension} gives
 * this and not the training itself.
 *
 * @param architecture how a step is computed from the weights
 * @param weights closed by whoever serves them, after the turns
 * @param info what is known of the model
 * @param turns with the steps of serving
 */
public record ServedWeights(
    Architecture architecture, ModelWeights weights, ModelInfo info, Turns turns) {}
