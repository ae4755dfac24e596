package dev.lorikeet.executor;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/** Where the gradients of the factors of adapters are summed: which adapters learn, and where. */
@FunctionalInterface
public interface FactorGradients {
  /** No adapter learns: only dx, and the gradients of weights, are computed. */
  FactorGradients FROZEN = (adapter, target) -> Optional.empty();

  /**
   * Returns where the gradients of an adapter for one target module go, or empty if it is frozen.
   * Asked on the calling thread, before anything is computed, once for each segment that has
   * entries and each target module of the group that its adapter changes; what it returns is not
   * kept beyond the call. The same memory may be returned for several segments, of one adapter or
   * of several that share it, but for one target module only: their gradients add up in the order
   * of the segments.
   *
   * @param adapter the lease in the batch
   * @param target the target module
   */
  Optional<Sums> of(AdapterLease adapter, TargetModule target);

  /**
   * The gradients of one adapter for one target module, in the shapes in which PEFT stores the
   * factors; of a block-diagonal factor the blocks alone, one below the other.
   *
   * <p>Row r of {@code a} belongs to row r of the {@link dev.lorikeet.adapter.LoraFactor} A. That
   * of B is stored transposed: element {@code (o, c)} of {@code b} belongs to output o and to rank
   * {@code o / (out / bBlocks) * (rank / bBlocks) + c}.
   *
   * @param a the gradient of A, F32 {@code [rank, in / aBlocks]}
   * @param b the gradient of B, F32 {@code [out, rank / bBlocks]}
   */
  record Sums(Tensor a, Tensor b) {
    public Sums {
      if (a.type() != ElementType.F32 || b.type() != ElementType.F32) {
        throw new IllegalArgumentException(
            "gradients: expected F32, found " + a + " for A and " + b + " for B");
      }
    }
  }
}
