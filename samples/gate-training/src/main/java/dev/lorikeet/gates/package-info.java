/**
 * Training gates that route tokens to adapters, and judging routers by perplexity. Works on any
 * host through its public interface. The front doors are {@link dev.lorikeet.gates.GateTrainer} and
 * {@link dev.lorikeet.gates.RouterEvaluation}.
 */
@NullMarked
package dev.lorikeet.gates;

import org.jspecify.annotations.NullMarked;
