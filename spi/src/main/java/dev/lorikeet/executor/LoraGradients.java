package dev.lorikeet.executor;

import dev.lorikeet.tensor.Device;
import dev.lorikeet.tensor.ElementType;
import dev.lorikeet.tensor.Tensor;
import java.util.List;

/**
 * The backward of {@link LoraExecutor#addDelta}: what fine-tuning needs of an executor, for all
 * adapters of a batch in one call. Rules T1 to T18 of the specification.
 *
 * <p>With the forward {@code y[t] += w * s * B (A x[t])} for every entry {@code (t, adapter, w)} of
 * the batch and every target module of the group, {@code s} the module's scaling, and {@code dy}
 * the gradient of some loss with respect to y, one call adds
 *
 * <pre>
 *   dx[t]  += w * s * A^T (B^T dy[t])      for the token of every entry
 *   dA     += w * s * (B^T dy[t]) x[t]^T   over the entries of the adapter, on A's blocks
 *   dB     += w * s * dy[t] (A x[t])^T     over the entries of the adapter, on B's blocks
 *   dw     += s * dy[t] . B (A x[t])       for every entry, over the modules of the group
 * </pre>
 *
 * to what is there already, so that several micro-batches, or several segments of one adapter, add
 * up. Whoever holds the sums sets them to zero.
 *
 * <p><b>Independence.</b> The gradients of an adapter, the dx of a token and the dw of an entry are
 * the same bits whatever other adapters and tokens share the batch, wherever in it the tokens lie,
 * and however many threads work. They may depend on the order of the adapter's own entries, and on
 * how these are cut into segments and calls.
 *
 * <p>Belongs to the executor that it came from: computes on the same threads, is closed with it,
 * and counts as one of its calls, which must not overlap.
 */
public interface LoraGradients {
  /**
   * Returns whether x, dy, dx and dw may be of this element type on this device. F32 on the host
   * MUST be taken. Gradients of factors are F32 on any device where F32 is taken.
   */
  default boolean takesActivations(ElementType type, Device device) {
    return type == ElementType.F32 && device.isHost();
  }

  /**
   * Adds the gradients of one target group to {@code sums}. Accumulates in F32 or better. Rows of x
   * and dy whose token is in no segment are not looked at, and rows of dx likewise stay as they
   * are, bit for bit; so do the gradients of adapters without entries. Returns when the sums may be
   * read by the device that holds them; on the host that is when they have been written.
   *
   * @param targets the target group
   * @param batch which tokens use which adapters, with which weights: the batch of the forward
   * @param x the group's input as the forward had it, {@code [>= batch.tokens(), in]}; only read
   * @param dy the gradient of each target module's output, {@code [>= batch.tokens(), out]} each;
   *     only read
   * @param sums what is added to; must not overlap x or dy, nor one another
   * @throws IllegalArgumentException if a shape, element type or device does not fit; then nothing
   *     was written
   * @throws IllegalStateException if the executor, or a lease in the batch, is closed; then nothing
   *     was written
   */
  void addGradients(
      TargetGroup targets, LoraBatch batch, Tensor x, List<Tensor> dy, GradientSums sums);
}
