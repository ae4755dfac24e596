package dev.lorikeet.bench.kernels;

import dev.lorikeet.bench.kernels.jmh.AttentionBenchmark;
import dev.lorikeet.bench.kernels.jmh.GradientBenchmark;
import dev.lorikeet.bench.kernels.jmh.LoraBenchmark;
import dev.lorikeet.bench.model.Preset;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.shape.Projection;
import java.util.function.UnaryOperator;

/**
 * What a kernel has to move and to compute at least in one run of its benchmark.
 *
 * @param bytes read, and written where that is of the same order
 * @param flops operations, two for each multiply-add
 */
record KernelCost(double bytes, double flops) {
  private static final ModelShape SHAPE = Preset.M135.shape();
  private static final int RANK = 16;
  private static final int BF16 = 2;

  /**
   * Returns that of a benchmark.
   *
   * @param benchmark its simple name, such as {@code MatMulBenchmark}
   * @param parameter gives the value of a parameter
   */
  static KernelCost of(String benchmark, UnaryOperator<String> parameter) {
    return switch (benchmark) {
      case "MatMulBenchmark", "BackMatMulBenchmark" ->
          matMul(parameter.apply("type"), Integer.parseInt(parameter.apply("tokens")));
      case "AttentionBenchmark" ->
          attention(parameter.apply("type"), Integer.parseInt(parameter.apply("tokens")));
      case "LoraBenchmark" -> {
        String batch = parameter.apply("batch");
        double parameters = adapterParameters();
        yield new KernelCost(
            LoraBenchmark.adapters(batch) * parameters * BF16,
            2.0 * LoraBenchmark.tokens(batch) * parameters);
      }
      case "GradientBenchmark" ->
          gradient(
              parameter.apply("pass").equals("forward"),
              Integer.parseInt(parameter.apply("hidden")),
              Integer.parseInt(parameter.apply("rank")),
              Integer.parseInt(parameter.apply("tokens")));
      case "MergeBenchmark" -> {
        int adapters = Integer.parseInt(parameter.apply("adapters"));
        yield new KernelCost(
            2.0 * weights() * BF16 + adapters * adapterParameters() * BF16,
            2.0 * weights() * RANK * adapters);
      }
      default ->
          throw new IllegalArgumentException(
              "benchmark: expected one whose cost is known, found " + benchmark);
    };
  }

  private static KernelCost matMul(String type, int tokens) {
    double bytesPerWeight =
        switch (type) {
          case "F32" -> 4;
          case "Q4" -> 0.5 + 4.0 / 32;
          default -> 2;
        };
    return new KernelCost(weights() * bytesPerWeight, 2.0 * weights() * tokens);
  }

  private static KernelCost attention(String type, int tokens) {
    int length = AttentionBenchmark.LENGTH;
    double sequences = AttentionBenchmark.sequences(tokens);
    double pairs = sequences == 1 ? tokens * (length - (tokens - 1) / 2.0) : sequences * length;
    double elements = 2.0 * sequences * length * SHAPE.kvWidth() * SHAPE.layers();
    return new KernelCost(
        elements * (type.equals("F32") ? 4 : 2), 4 * pairs * SHAPE.queryWidth() * SHAPE.layers());
  }

  /**
   * Two products through the rank forward and five backward, in the cheapest order whichever is
   * measured; activations once, and the input's gradient and outputs in and out.
   */
  private static KernelCost gradient(boolean forward, double hidden, double rank, double tokens) {
    double modules = GradientBenchmark.MODULES;
    double activations = forward ? 1 + 2 * modules : 3 + modules;
    double factors = (forward ? 2 : 6) * modules * rank * hidden;
    return new KernelCost(
        4 * (activations * tokens * hidden + factors),
        2 * (forward ? 2 : 5) * modules * tokens * rank * hidden);
  }

  private static double weights() {
    return SHAPE.layers()
        * Projection.ofLayer().stream()
            .mapToDouble(p -> (double) SHAPE.inFeatures(p) * SHAPE.outFeatures(p))
            .sum();
  }

  private static double adapterParameters() {
    return (double) RANK
        * SHAPE.layers()
        * Projection.ofLayer().stream()
            .mapToDouble(p -> SHAPE.inFeatures(p) + SHAPE.outFeatures(p))
            .sum();
  }
}
