package dev.lorikeet.training.learning;

import dev.lorikeet.files.gate.GateParameters;
import dev.lorikeet.routing.RunningContext;
import dev.lorikeet.shape.ModelShape;
import dev.lorikeet.training.optimizer.FactorMemory;
import dev.lorikeet.training.optimizer.Optimizer;
import dev.lorikeet.training.optimizer.Strips;
import dev.lorikeet.training.stage.MicroBatch;
import dev.lorikeet.training.stage.TokenMixture;
import dev.lorikeet.training.task.Mixture;
import dev.lorikeet.training.task.OptimizerSpec;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/**
 * The gate of a {@link Mixture} while it learns: {@code logits = W u + b}, with u a token's
 * embedding, and its running context if there is one, divided by the root mean square of the
 * model's embeddings, so that learning rates mean the same for all models. Used by one thread at a
 * time.
 */
public final class LearningGate implements AutoCloseable {
  /*
   * Gradients. With the weights w of the chosen adapters a softmax over their logits, and g what the backward gives for
   * them, the logit of a chosen one gets w (g - sum of w g), the others nothing. The balance N sum(f P) of a chunk is
   * differentiated through P, the means of probabilities p over all experts: the shares f of choices are steps, and
   * their gradient is zero or none. A logit gets N / tokens * p (f - sum of f p).
   *
   * Cost for each token: twice experts * features multiplications, in double precision on the trainer's thread: about
   * 0.1 % of what the model computes for a token.
   */
  private static final int SAMPLE = 1024;
  private static final double FIRST_SPREAD = 0.1;

  private final Arena arena = Arena.ofShared();
  private final Mixture mixture;
  private final int hidden;
  private final int width;
  private final Learner.Embeddings embeddings;
  private final Optimizer optimizer;
  private final float scale;
  private final FactorMemory weight;
  private final FactorMemory bias;

  /**
   * What a gate chose for the tokens of a task, and what its gradient needs.
   *
   * @param features {@code [tokens, features]}, scaled
   * @param probabilities of all experts, {@code [tokens, experts]}
   * @param mixture of the tokens
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  public record Routing(float[] features, double[] probabilities, TokenMixture mixture) {
    int experts() {
      return probabilities.length / mixture.tokens();
    }

    /** Returns the share of each expert in the choices of all tokens. */
    double[] shares() {
      double[] shares = new double[experts()];
      for (int choice : mixture.choices()) {
        shares[choice] += 1.0 / mixture.choices().length;
      }
      return shares;
    }

    /** Returns the balance: {@code experts * sum of f P}, 1 where all are used alike. */
    public double balance() {
      double[] shares = shares();
      double sum = 0;
      for (int i = 0; i < probabilities.length; i++) {
        sum += shares[i % shares.length] * probabilities[i];
      }
      return shares.length * sum / mixture.tokens();
    }
  }

  /**
   * Creates a gate that prefers, a little, experts by chance.
   *
   * @param optimizer changes it; AdamW in place of one that changes pairs of factors
   * @param embeddings of the base model
   */
  public LearningGate(
      Mixture mixture,
      ModelShape shape,
      OptimizerSpec optimizer,
      long seed,
      Learner.Embeddings embeddings) {
    this.mixture = mixture;
    this.hidden = shape.hidden();
    this.width = mixture.context() instanceof RunningContext.None ? hidden : 2 * hidden;
    this.embeddings = embeddings;
    this.optimizer = Optimizer.of(alone(optimizer));
    this.scale = scale(shape);
    int slots = this.optimizer.slots();
    this.weight = FactorMemory.allocate(arena, mixture.experts(), width, slots);
    this.bias = FactorMemory.allocate(arena, 1, mixture.experts(), slots);
    SplittableRandom random = new SplittableRandom(seed);
    double spread = FIRST_SPREAD / Math.sqrt(width);
    for (long i = 0; i < weight.count(); i++) {
      weight
          .values()
          .setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) (spread * random.nextGaussian()));
    }
  }

  private static OptimizerSpec alone(OptimizerSpec spec) {
    return spec instanceof OptimizerSpec.LoraRite rite
        ? new OptimizerSpec.AdamW(rite.beta1(), rite.beta2(), rite.epsilon(), rite.weightDecay())
        : spec;
  }

  /** Returns the inverse root mean square of embeddings, of some from all over the vocabulary. */
  private float scale(ModelShape shape) {
    int count = Math.min(SAMPLE, shape.vocabulary());
    int[] ids =
        IntStream.range(0, count).map(i -> (int) ((long) i * shape.vocabulary() / count)).toArray();
    float[] rows = new float[count * hidden];
    embeddings.read(ids, rows);
    double squares = 0;
    for (float value : rows) {
      squares += (double) value * value;
    }
    return squares > 0 ? (float) Math.sqrt(rows.length / squares) : 1;
  }

  /** Returns what memory a gate takes, in bytes, by slots of the optimizer. */
  public static long bytes(Mixture mixture, ModelShape shape, OptimizerSpec optimizer) {
    int features = (mixture.context() instanceof RunningContext.None ? 1 : 2) * shape.hidden();
    long parameters = (long) mixture.experts() * (features + 1);
    return parameters * Float.BYTES * (2 + Optimizer.of(alone(optimizer)).slots());
  }

  /** Returns W, {@code [experts, features]}. */
  public FactorMemory weight() {
    return weight;
  }

  /** Returns b, {@code [1, experts]}. */
  public FactorMemory bias() {
    return bias;
  }

  /** Chooses for the tokens of a task. */
  public Routing route(MicroBatch batch, int task) {
    int[] tokens = batch.tokensOf(task);
    float[] features = features(batch, tokens);
    int experts = mixture.experts();
    float[] w = floats(weight.values());
    float[] b = floats(bias.values());
    double[] probabilities = new double[tokens.length * experts];
    int[] choices = new int[tokens.length * mixture.topK()];
    float[] weights = new float[choices.length];
    double[] logits = new double[experts];
    for (int t = 0; t < tokens.length; t++) {
      for (int e = 0; e < experts; e++) {
        double sum = b[e];
        for (int i = 0; i < width; i++) {
          sum += (double) w[e * width + i] * features[t * width + i];
        }
        logits[e] = sum;
      }
      choose(logits, t, choices, weights);
      softmax(logits, probabilities, t * experts);
    }
    return new Routing(features, probabilities, new TokenMixture(mixture.topK(), choices, weights));
  }

  private float[] features(MicroBatch batch, int[] tokens) {
    float[] rows = new float[tokens.length * hidden];
    embeddings.read(Arrays.stream(tokens).map(batch::token).toArray(), rows);
    float[] features = new float[tokens.length * width];
    float[] mean = new float[hidden];
    for (int t = 0; t < tokens.length; t++) {
      for (int i = 0; i < hidden; i++) {
        float row = rows[t * hidden + i];
        features[t * width + i] = scale * row;
        if (mixture.context() instanceof RunningContext.MeanEmbedding(float decay)) {
          mean[i] = batch.position(tokens[t]) == 0 ? row : decay * mean[i] + (1 - decay) * row;
          features[t * width + hidden + i] = scale * mean[i];
        }
      }
    }
    return features;
  }

  /** Chooses the largest logits, of equal ones the first, and weighs them by their softmax. */
  private void choose(double[] logits, int token, int[] choices, float[] weights) {
    int first = token * mixture.topK();
    double sum = 0;
    double[] shares = new double[mixture.topK()];
    boolean[] taken = new boolean[logits.length];
    for (int k = 0; k < shares.length; k++) {
      int best = -1;
      for (int e = 0; e < logits.length; e++) {
        if (!taken[e] && (best < 0 || logits[e] > logits[best])) {
          best = e;
        }
      }
      taken[best] = true;
      choices[first + k] = best;
      shares[k] = StrictMath.exp(logits[best] - logits[choices[first]]);
      sum += shares[k];
    }
    for (int k = 0; k < shares.length; k++) {
      float share = (float) (shares[k] / sum);
      // A batch of adapters takes finite weights alone; the gradients tell of others.
      weights[first + k] = Float.isFinite(share) ? share : 0;
    }
  }

  private static void softmax(double[] logits, double[] to, int at) {
    double largest = Arrays.stream(logits).max().orElseThrow();
    double sum = 0;
    for (int e = 0; e < logits.length; e++) {
      to[at + e] = StrictMath.exp(logits[e] - largest);
      sum += to[at + e];
    }
    for (int e = 0; e < logits.length; e++) {
      to[at + e] /= sum;
    }
  }

  private static float[] floats(MemorySegment memory) {
    return memory.toArray(ValueLayout.JAVA_FLOAT);
  }

  /**
   * Adds to the gradients of a loss.
   *
   * @param routing what was chosen
   * @param byWeight the derivatives of the loss with respect to the weights of the mixture
   * @param stepTokens how many tokens the task's step has: the balance counts by their part of it
   */
  public void learn(Routing routing, float[] byWeight, long stepTokens) {
    int experts = mixture.experts();
    double[] ofWeight = new double[experts * width];
    double[] ofBias = new double[experts];
    double[] shares = routing.shares();
    double balancing = mixture.loadBalancing() * experts / stepTokens;
    double[] byLogit = new double[experts];
    for (int t = 0; t < routing.mixture().tokens(); t++) {
      double mean = 0;
      for (int e = 0; e < experts; e++) {
        mean += shares[e] * routing.probabilities()[t * experts + e];
      }
      for (int e = 0; e < experts; e++) {
        byLogit[e] = balancing * routing.probabilities()[t * experts + e] * (shares[e] - mean);
      }
      addByWeights(routing.mixture(), t, byWeight, byLogit);
      for (int e = 0; e < experts; e++) {
        for (int i = 0; i < width; i++) {
          ofWeight[e * width + i] += byLogit[e] * routing.features()[t * width + i];
        }
        ofBias[e] += byLogit[e];
      }
    }
    add(ofWeight, weight.gradients());
    add(ofBias, bias.gradients());
  }

  private static void addByWeights(
      TokenMixture mixture, int token, float[] byWeight, double[] byLogit) {
    int first = token * mixture.topK();
    double mean = 0;
    for (int i = first; i < first + mixture.topK(); i++) {
      mean += (double) mixture.weights()[i] * byWeight[i];
    }
    for (int i = first; i < first + mixture.topK(); i++) {
      byLogit[mixture.choices()[i]] += mixture.weights()[i] * (byWeight[i] - mean);
    }
  }

  private static void add(double[] values, MemorySegment to) {
    for (int i = 0; i < values.length; i++) {
      float sum = (float) (to.getAtIndex(ValueLayout.JAVA_FLOAT, i) + values[i]);
      to.setAtIndex(ValueLayout.JAVA_FLOAT, i, sum);
    }
  }

  /** Returns the sum of the squares of all gradients. */
  public double squares() {
    return weight.squares() + bias.squares();
  }

  /**
   * Changes the parameters by their gradients, and sets these to zero.
   *
   * @param rate the learning rate
   * @param gradientScale what gradients are multiplied by
   * @param number how many steps this one makes, from 1
   */
  public void step(double rate, float gradientScale, int number) {
    Strips strips = new Strips();
    for (FactorMemory factor : List.of(weight, bias)) {
      optimizer.step(factor, rate, gradientScale, number, strips);
      factor.gradients().fill((byte) 0);
    }
  }

  /** Returns the gate for features that are not scaled, as a router reads it. */
  public GateParameters parameters() {
    float[] scaled = floats(weight.values());
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] *= scale;
    }
    return GateParameters.linear(scaled, floats(bias.values()));
  }

  @Override
  public void close() {
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
