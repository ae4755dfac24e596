package dev.lorikeet.jlama.kernel;

/**
 * The kernels that fine-tuning needs beside those of serving.
 *
 * @param matMul gradients through matrix products
 * @param elementwise gradients through norms, activations and the like
 * @param attention attention within sequences, forward and backward
 * @param loss log-probabilities of labels and their gradients
 */
public record TrainingKernels(
    BackMatMul matMul, BackElementwise elementwise, SequenceAttention attention, TokenLoss loss) {
  static TrainingKernels scalar() {
    return new TrainingKernels(
        new ScalarBackMatMul(),
        new ScalarBackElementwise(),
        new ScalarSequenceAttention(),
        new ScalarTokenLoss());
  }

  static TrainingKernels vector() {
    return new TrainingKernels(
        new VectorBackMatMul(),
        new VectorBackElementwise(),
        new VectorSequenceAttention(),
        new VectorTokenLoss());
  }
}
