package dev.lorikeet.host.serving;

import dev.lorikeet.host.step.StepDecoder;
import dev.lorikeet.host.step.Turns;
import dev.lorikeet.shape.ModelInfo;
import dev.lorikeet.text.Tokenizer;

/**
 * The model that is served.
 *
 * @param info what is known of it
 * @param decoder computes its steps; closed by whoever made it, after the serving
 * @param tokenizer likewise
 * @param conversations how conversations are written
 * @param turns with whatever else is computed over its weights
 */
public record Served(
    ModelInfo info,
    StepDecoder decoder,
    Tokenizer tokenizer,
    Conversations conversations,
    Turns turns) {}
