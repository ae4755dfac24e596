package dev.lorikeet.executor;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;
import java.util.Optional;

/**
 * The numeric backend for LoRA: adds low-rank deltas for a whole batch, whatever adapters, ranks
 * and mixtures its tokens use, and switches merged weights. One executor serves one host thread at
 * a time; calls must not overlap. Rules X1 to X24 of the specification.
 */
public interface LoraExecutor extends AutoCloseable {
  /** Returns where this executor computes. Tensors that live there are taken without a copy. */
  Device device();

  /**
   * Returns whether {@link #addDelta} takes activations of this element type on this device. F32 on
   * the host MUST be taken.
   */
  default boolean takesActivations(ElementType type, Device device) {
    return type == ElementType.F32 && device.isHost();
  }

  /**
   * Returns whether {@link #addDelta} takes adapter weights of this element type. F32, BF16 and F16
   * MUST be taken.
   */
  default boolean takesWeights(ElementType type) {
    return true;
  }

  /**
   * Returns whether {@link #switchMerged} is offered for base weights of this element type on this
   * device. Never for quantized weights: those get deltas only.
   */
  default boolean merges(ElementType type, Device device) {
    return false;
  }

  /**
   * Returns whether {@link #addDelta} takes this module in a target group. The seven linear layers
   * of decoder blocks MUST be taken; those of experts, their router and the output layer, which may
   * be far wider, may be. A host refuses an adapter that changes a module which its executor does
   * not take.
   */
  default boolean takes(TargetModule module) {
    return module.isPlain();
  }

  /**
   * Adds {@code weight * scaling * B (A x)} to the outputs of one target group, for every entry of
   * the batch. Accumulates in F32 or better. For each target module and each segment whose adapter
   * has weights for it, {@code y[token] += weight * scaling * B (A x[token])}; all other rows of
   * {@code y} stay as they are, bit for bit. Returns when the outputs may be read by the device
   * that holds them; on the host that is when they have been written.
   *
   * @param targets the target group
   * @param batch which tokens use which adapters
   * @param x the group's input, {@code [>= batch.tokens(), in]}; only read; must not overlap any
   *     {@code y}
   * @param y one output per target module, {@code [>= batch.tokens(), out]} each; must not overlap
   *     one another
   * @throws IllegalArgumentException if a shape, element type or device does not fit; then nothing
   *     was written
   * @throws IllegalStateException if this executor, or a lease in the batch, is closed; then
   *     nothing was written
   */
  void addDelta(TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> y);

  /**
   * Computes a merged state for all target modules of a plan, in one call.
   *
   * @throws UnsupportedOperationException if {@link #merges} is false for the element type of one
   *     of the weights
   * @throws IllegalArgumentException if a shape or device does not fit; then nothing was written
   * @throws IllegalStateException if this executor, or a lease in the plan, is closed; then nothing
   *     was written
   */
  void switchMerged(MergePlan plan);

  /**
   * Returns the backward of {@link #addDelta}, with which adapters can be fine-tuned, or empty if
   * this executor serves only. The same every time; closed with this executor.
   */
  default Optional<LoraGradients> gradients() {
    return Optional.empty();
  }

  /** Releases what this executor holds. Idempotent. */
  @Override
  void close();
}
