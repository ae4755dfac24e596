package dev.lorikeet.adapter;

import dev.lorikeet.shape.TargetModule;
import java.util.Optional;

/**
 * A counted claim on an adapter's weights: while any lease on a generation is open, its weights
 * stay where they are, unchanged, whatever is evicted, unregistered or registered anew. Several
 * leases on one adapter may be open; each is closed by whoever acquired it. {@link #weights} may be
 * called from any thread until then.
 */
public interface AdapterLease extends AutoCloseable {
  /** Returns the description of the leased generation; callable after close as well. */
  AdapterSpec spec();

  /**
   * Returns the weights for one target module, or empty if the adapter does not change it.
   * Allocates nothing.
   *
   * @throws IllegalStateException if this lease is closed
   */
  Optional<LoraWeights> weights(TargetModule target);

  /**
   * Returns a part for one module, or empty if the adapter has none of that kind there.
   *
   * @throws IllegalStateException if this lease is closed
   */
  default Optional<PartWeights> part(TargetModule target, PartSpec.Kind kind) {
    return Optional.empty();
  }

  /**
   * Gives the claim back; idempotent. The weights that came from this lease must not be used any
   * more.
   */
  @Override
  void close();
}
