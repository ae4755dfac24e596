package dev.lorikeet.jlama.decoder;

import dev.lorikeet.executor.TargetGroup;
import dev.lorikeet.jlama.kernel.Rows;
import dev.lorikeet.shape.Projection;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Where adapters add deltas, in every layer alike: to the products of one input.
 *
 * @param targets the modules of each layer
 * @param x the input
 * @param y the products, one for each module
 */
record DeltaSite(List<TargetGroup> targets, Tensor x, List<Tensor> y) {
  static DeltaSite of(int layers, Rows x, List<Rows> y, Projection... projections) {
    return new DeltaSite(
        IntStream.range(0, layers).mapToObj(l -> TargetGroup.of(l, projections)).toList(),
        x.tensor(),
        y.stream().map(Rows::tensor).toList());
  }
}
