package dev.lorikeet.jlama.decoder;

/**
 * Tells a decoder which kernels are compiled already. Vector kernels that are not are a hundred
 * times slower than compiled ones, so a step had better wait for them.
 */
@FunctionalInterface
public interface KernelReadiness {
  /** All kernels are ready, or nobody makes them ready. */
  KernelReadiness READY = adapted -> false;

  /**
   * Waits until a step is worth to begin, for a bounded time; called on the decoding thread at
   * every step.
   *
   * @param adapted whether the step adds deltas of adapters
   * @return whether only the kernels for one token at a time are ready
   */
  boolean narrow(boolean adapted);
}
