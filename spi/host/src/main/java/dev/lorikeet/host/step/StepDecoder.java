package dev.lorikeet.host.step;

import dev.lorikeet.adapter.AdapterLease;
import dev.lorikeet.adapter.AdapterSpec;
import dev.lorikeet.adapter.TargetSpec;
import dev.lorikeet.host.kv.KvCache;
import dev.lorikeet.host.switching.SwitchStats;
import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * The forward pass of a model over one ragged batch at a time: what a base model's hardware has to
 * offer to the engine. Used by one decoding thread. The logits of a token must not depend on the
 * other tokens of the batch beyond what rule M3 of the specification allows.
 */
public interface StepDecoder extends AutoCloseable {
  /** Returns the KV cache; the same every time. */
  KvCache kv();

  /**
   * Computes a batch: keys and values of all its tokens, logits of those that want them.
   *
   * @param step the tokens, their positions and pages; must not change meanwhile
   * @param adapters tells which adapters the tokens use; asked on the calling thread
   * @throws dev.lorikeet.LorikeetException to end the model for a reason that its application
   *     should know, with a code such as {@code MODEL_INVALID}. So does anything else that a method
   *     of a decoder throws, as {@code INTERNAL}: all requests fail with it, no new one is taken,
   *     and {@link dev.lorikeet.model.BaseModel#health} tells it
   */
  void forward(StepBatch step, StepAdapters adapters);

  /**
   * Returns what an adapter would have to be for this decoder to apply it, and what it is, as in
   * "LoRA on linear layers of decoder blocks alone, found DoRA"; empty if it can be applied. Asked
   * before anything is computed, from any thread. Plain LoRA is always applied, and nothing else
   * unless a decoder says so.
   */
  default Optional<String> refusal(AdapterSpec adapter) {
    return adapter.isPlain()
        ? Optional.empty()
        : Optional.of(
            "LoRA on linear layers of decoder blocks alone, found "
                + adapter.targets().stream()
                    .map(TargetSpec::target)
                    .filter(target -> !target.isPlain())
                    .findFirst()
                    .map(Object::toString)
                    .orElse("magnitudes, biases or matrices beside them"));
  }

  /**
   * Makes ready what it needs to apply an adapter. Called on a thread that may be busy for a while,
   * several at a time.
   *
   * @param adapter which the returned one takes over; still the caller's if this throws
   * @return what steps use in its place
   * @throws dev.lorikeet.LorikeetException with code {@code POOL_EXHAUSTED} if there is no room now
   */
  default AdapterLease prepare(AdapterLease adapter) {
    return adapter;
  }

  /** Does the same on the decoding thread if that takes no time, or returns empty. */
  default Optional<AdapterLease> prepareAtOnce(AdapterLease adapter) {
    return Optional.of(adapter);
  }

  /**
   * Returns a row of logits of the last batch, {@code [vocabulary]} F32 in host memory, valid until
   * the next; only read.
   *
   * @param row as {@link StepBatch#wantLogits} numbered it
   */
  MemorySegment logits(int row);

  /** Returns one logit of a row of the last batch. */
  float logit(int row, int token);

  /** Returns the token with the largest logit of a row, the smallest id among equals. */
  int best(int row);

  /**
   * Returns the logarithm of the sum of exponentials of a row of logits: not finite if one of them
   * is NaN or positive infinity, or all are negative infinity. The request fails then, and no
   * other.
   */
  double logSumExp(int row);

  /** Returns how steps with adapters were computed so far; for the decoding thread. */
  SwitchStats switchStats();

  /**
   * Releases what the decoder holds, after the decoding thread has ended; the pool, the executor
   * and the weights belong to the caller.
   */
  @Override
  void close();
}
