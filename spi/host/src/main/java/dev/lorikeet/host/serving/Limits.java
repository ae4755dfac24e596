package dev.lorikeet.host.serving;

/**
 * The sizes of a model's batch and queue.
 *
 * @param batchTokens the most tokens of one iteration: decode tokens and prefill chunks together
 * @param batchSequences the most sequences that run at once
 * @param queue the most requests that wait
 * @param logits the most rows of logits of one iteration: one for each sequence, the rest for
 *     scores
 */
public record Limits(int batchTokens, int batchSequences, int queue, int logits) {
  public Limits {
    if (batchTokens < batchSequences
        || batchSequences < 1
        || queue < 1
        || logits <= batchSequences) {
      throw new IllegalArgumentException(
          "limits: expected max-batch-tokens >= max-batch-size >= 1 and max-queue >= 1, found "
              + batchTokens
              + ", "
              + batchSequences
              + " and "
              + queue);
    }
  }
}
