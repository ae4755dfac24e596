package dev.lorikeet.training.task;

/** How gradients become changes of the weights. */
public sealed interface OptimizerSpec {
  /**
   * Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).
   *
   * @param beta1 decay of the mean of gradients, from 0 to below 1
   * @param beta2 decay of the mean of their squares, from 0 to below 1
   * @param epsilon added to the root of the latter, above 0
   * @param weightDecay times the learning rate, by how much weights shrink in a step, 0 or more
   */
  record AdamW(double beta1, double beta2, double epsilon, double weightDecay)
      implements OptimizerSpec {
    /** PyTorch's defaults, without weight decay. */
    public static final AdamW DEFAULT = new AdamW(0.9, 0.999, 1e-8, 0);

    public AdamW {
      OptimizerSpec.checkMoments(beta1, beta2, epsilon, weightDecay);
    }
  }

  /**
   * LoRA-RITE (Yen et al., arXiv 2410.20625): Adam in coordinates that do not depend on which of
   * the pairs of factors of one product is learned. Not for block-diagonal factors, nor with DoRA,
   * nor over several stages.
   *
   * @param beta1 decay of the mean of equilibrated gradients, from 0 to below 1
   * @param beta2 decay of the mean of their second moments, from 0 to below 1
   * @param epsilon added to the roots of the latter, above 0
   * @param weightDecay times the learning rate, by how much weights shrink in a step, 0 or more
   */
  record LoraRite(double beta1, double beta2, double epsilon, double weightDecay)
      implements OptimizerSpec {
    /** The authors' defaults. */
    public static final LoraRite DEFAULT = new LoraRite(0.9, 0.999, 1e-6, 0);

    public LoraRite {
      OptimizerSpec.checkMoments(beta1, beta2, epsilon, weightDecay);
    }
  }

  /**
   * Plain gradient descent.
   *
   * @param weightDecay added to the gradient, times the weight, 0 or more
   */
  record Sgd(double weightDecay) implements OptimizerSpec {
    public Sgd {
      Ranges.atLeast("weight decay", weightDecay, 0);
    }
  }

  private static void checkMoments(double beta1, double beta2, double epsilon, double weightDecay) {
    Ranges.atLeast("beta1", beta1, 0);
    Ranges.below("beta1", beta1, 1);
    Ranges.atLeast("beta2", beta2, 0);
    Ranges.below("beta2", beta2, 1);
    Ranges.above("epsilon", epsilon, 0);
    Ranges.atLeast("weight decay", weightDecay, 0);
  }
}
