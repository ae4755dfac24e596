package dev.lorikeet.training.stage;

import dev.lorikeet.executor.LoraBatch;
import dev.lorikeet.executor.Workers;
import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.tensor.Tensor;
import java.util.Optional;

/**
 * A part of a frozen base model, forward and backward: what fine-tuning has to ask of the hardware.
 * A trainer has one stage, or a pipeline of several, in threads or processes of their own; stages
 * know nothing of one another, of losses, optimizers or schedules.
 *
 * <pre>{@code
 * try (TrainingPass pass = stage.forward(batch, adapters, Optional.empty(), retention)) {
 *   double[] logProbabilities = ((StageOutput.LogProbabilities) pass.output()).values();
 *   float[] coefficients = ...;                    // d loss / d logProbability, token by token
 *   stage.backward(pass, new OutputGradient.OfLogProbabilities(coefficients), gradients);
 * }
 * }</pre>
 *
 * <p><b>Independence.</b> The log-probabilities, hidden states and gradients of a sequence, and the
 * gradients of an adapter, are the same bits whatever other tasks share the micro-batch, wherever
 * in it the sequences lie, whatever is kept, and however many threads or stages there are.
 *
 * <p>Threading: one thread at a time. A stage and its executor may share their threads with nothing
 * else that runs at once.
 */
public interface TrainingStage extends AutoCloseable {
  /** Returns which part of the model this is. */
  StageSpan span();

  /** Returns the most tokens of a micro-batch. */
  int maxTokens();

  /**
   * Returns the threads that compute the stage, for work between its calls: one shard alone, on the
   * caller, if the stage lends none.
   */
  default Workers workers() {
    return Workers.SINGLE;
  }

  /** Returns the bytes that the stage holds for all passes together, weights apart. */
  long workBytes();

  /**
   * Returns the bytes that a pass holds until it is closed.
   *
   * @param tokens of its micro-batch
   * @param retention what it keeps
   */
  long passBytes(int tokens, Retention retention);

  /** Returns the bytes that are held for passes now: of those in flight, and of those to come. */
  long heldBytes();

  /**
   * Returns the Euclidean norms of the rows of a frozen weight, one for each output feature: what
   * magnitudes begin with. May be called by any thread.
   *
   * @throws IllegalArgumentException if the module is not one of this stage's layers
   */
  float[] rowNorms(TargetModule module);

  /**
   * Copies the embeddings of tokens, as the first layer has them and token routers see them. May be
   * called by any thread.
   *
   * @param ids of tokens
   * @param rows receives {@code [ids, hidden]}
   * @throws IllegalArgumentException if the stage does not embed, or an id is not in the vocabulary
   */
  void embeddings(int[] ids, float[] rows);

  /**
   * Computes a micro-batch.
   *
   * @param batch the sequences
   * @param adapters which tokens use which adapters: a {@link MicroBatch#fill}, or mixtures of the
   *     caller's; with magnitudes, tokens of whole adapters alone. The batch, its leases and their
   *     weights must not change until the pass is closed or its backward has returned
   * @param input the hidden states that the stage before gave, {@code [>= tokens, hidden]}, F32 in
   *     host memory; only read, and copied before the call returns. Empty if the stage embeds
   * @param retention what the pass keeps for its backward
   * @throws IllegalArgumentException if the batch has too many tokens or an id that is not in the
   *     vocabulary, or if an input is missing or does not fit; nothing is held then
   * @throws dev.lorikeet.LorikeetException if the model's files have changed
   */
  TrainingPass forward(
      MicroBatch batch, LoraBatch adapters, Optional<Tensor> input, Retention retention);

  /**
   * Computes the gradients of a pass, once. They add up over passes.
   *
   * @param pass an open pass of this stage
   * @param gradient the gradient of its output
   * @param learned where the gradients of what learns are added
   * @return the gradient of its input, {@code [tokens, hidden]}, F32, valid until the pass is
   *     closed; empty if the stage embeds
   * @throws IllegalArgumentException if the pass is another stage's, or the gradient does not fit
   *     its output
   * @throws IllegalStateException if the pass is closed, or its backward has run before
   */
  Optional<Tensor> backward(TrainingPass pass, OutputGradient gradient, LearnedGradients learned);

  /**
   * Releases what the stage holds, open passes included. Idempotent; weights, threads and executor
   * belong to whoever lent them.
   */
  @Override
  void close();
}
