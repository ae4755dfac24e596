package dev.lorikeet.training.learning;

import dev.lorikeet.shape.TargetModule;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.OutputGradient;
import dev.lorikeet.training.stage.StageOutput;
import dev.lorikeet.training.task.OptimizerSpec;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Computes what tasks learn by: log-probabilities, gradients and steps, on one stage that is the
 * whole model, or on several in a pipeline. What is computed, which losses come of it and when a
 * step is made is the trainer's business. Results are the same bits for all learners.
 *
 * <p>A micro-batch {@linkplain #enter enters}; its log-probabilities {@linkplain #next come out},
 * go into losses, and their {@linkplain #goBack gradients} in; then it is {@linkplain #next
 * through}. Several may be under way; log-probabilities come in the order of entering.
 *
 * <p>Threading: one thread.
 */
public interface Learner extends AutoCloseable {
  /** What comes out. */
  sealed interface Outcome {
    /**
     * A micro-batch went forward.
     *
     * @param number of the micro-batch
     * @param scores for each token the log-probability of its label, and the states that are shown
     */
    record Scored(int number, StageOutput.LogProbabilities scores) implements Outcome {}

    /**
     * A micro-batch went back: gradients are added.
     *
     * @param number of the micro-batch
     * @param weights for each task with a mixture the gradient of each of its weights, as {@link
     *     dev.lorikeet.training.stage.TokenMixture} has them
     */
    record Through(int number, Map<Integer, float[]> weights) implements Outcome {}
  }

  /**
   * How weights are to change.
   *
   * @param rateA the learning rate of A
   * @param rateB the learning rate of B
   * @param scale what gradients are multiplied by
   * @param number how many steps this one makes, from 1
   */
  record Step(double rateA, double rateB, float scale, int number) {}

  /** Reads the embeddings of tokens; any thread may. */
  interface Embeddings {
    /** Copies the rows of token ids, as {@code TrainingStage.embeddings} has it. */
    void read(int[] ids, float[] rows);
  }

  /** Returns the most tokens of a micro-batch. */
  int maxTokens();

  /**
   * Returns the Euclidean norms of the rows of a frozen weight: what magnitudes begin with. May be
   * called by any thread.
   */
  float[] rowNorms(TargetModule module);

  /** Returns the embeddings of tokens; empty if tasks can't mix adapters here. */
  Optional<Embeddings> embeddings();

  /** Returns how many micro-batches should be under way at once, for nothing to wait. */
  int window();

  /**
   * Returns whether all micro-batches of a round, one step of every task, have to be through before
   * another enters; they all enter together.
   */
  boolean hasRounds();

  /**
   * Takes a task in.
   *
   * @param task its number
   * @param adapters their weights and the optimizer's memory, from which it begins: one, or several
   *     that its tokens mix. What is learned is there again after {@link #collect}
   * @param optimizer changes the weights
   */
  void join(int task, List<LearningAdapter> adapters, OptimizerSpec optimizer);

  /** Lets a task go, none of whose micro-batches are under way. */
  void leave(int task);

  /**
   * Begins a micro-batch of tasks that are in.
   *
   * @param number of the micro-batch, not used before
   * @param batch the sequences; tasks by their numbers
   * @param complete tasks whose gradients are complete with it
   * @param round how many micro-batches the round has, of those that have rounds
   * @throws RuntimeException if it can't be computed; nothing is under way then
   */
  void enter(int number, MicroBatch batch, Set<Integer> complete, int round);

  /**
   * Waits for what comes out next; something is under way.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code MEMBER_LOST} if part of the learner is
   *     lost; nothing can be computed any more then
   */
  Outcome next();

  /**
   * Sends a micro-batch back.
   *
   * @param number of one that was scored
   * @param gradient of each log-probability and each state that is shown
   * @throws RuntimeException if it can't be computed; it is under way no more, and nobody knows
   *     which gradients were added
   */
  void goBack(int number, OutputGradient.OfLogProbabilities gradient);

  /**
   * Returns the log-probabilities of a micro-batch that does not go back, and the states that it
   * shows.
   *
   * @param batch the sequences; tasks by their numbers
   * @param adapted whether the tasks' adapters are used, or the base model alone
   */
  StageOutput.LogProbabilities score(MicroBatch batch, boolean adapted);

  /** Returns the norm of the gradients of a task's adapters, which are complete. */
  double gradientNorm(int task);

  /** Changes the weights of a task by its gradients, and sets these to zero. */
  void step(int task, Step step);

  /** Brings the adapters with which a task joined up to date. */
  void collect(int task);

  /** Drops everything. Idempotent. */
  @Override
  void close();
}
