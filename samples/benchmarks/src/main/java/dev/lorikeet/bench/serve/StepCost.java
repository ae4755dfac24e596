package dev.lorikeet.bench.serve;

import dev.lorikeet.bench.machine.Roofline;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;

/**
 * What a step has to read and to compute at least, with weights of two bytes and keys and values of
 * two bytes.
 *
 * @param shape the sizes of the model
 * @param adapterBytes the weights of one adapter
 */
record StepCost(ModelShape shape, long adapterBytes) {
  private static final int BYTES = 2;

  /** Returns the weights that a step reads: all layers, and the output layer. */
  long weightBytes() {
    return (layerParameters() + headParameters()) * BYTES;
  }

  private long layerParameters() {
    long parameters = 0;
    for (Projection projection : Projection.ofLayer()) {
      parameters += (long) shape.inFeatures(projection) * shape.outFeatures(projection);
    }
    return parameters * shape.layers();
  }

  private long headParameters() {
    return (long) shape.vocabulary() * shape.hidden();
  }

  /**
   * Returns the most tokens per second that the roofline allows.
   *
   * @param scenario what is run
   * @param tokens how many tokens each sequence generates, which tells the length of its context
   */
  double roofline(Scenario scenario, int tokens, Roofline machine) {
    double adapters = (double) scenario.distinctAdapters() * adapterBytes;
    double adapterFlops = scenario.distinctAdapters() == 0 ? 0 : 2.0 * adapterBytes / BYTES;
    if (scenario.isPrefill()) {
      double flops =
          2.0 * (layerParameters() * (double) scenario.promptTokens() + headParameters());
      return scenario.promptTokens() / machine.seconds(weightBytes() + adapters, flops);
    }
    double context = scenario.promptTokens() + tokens / 2.0;
    double cache = scenario.sequences() * context * shape.layers() * 2.0 * shape.kvWidth() * BYTES;
    double flops =
        scenario.sequences() * (2.0 * (layerParameters() + headParameters()) + adapterFlops);
    return scenario.sequences() / machine.seconds(weightBytes() + adapters + cache, flops);
  }
}
