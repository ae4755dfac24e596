package dev.lorikeet.training.pipeline;

import dev.lorikeet.cluster.GroupLimits;
import dev.lorikeet.training.stage.StageSpan;
import java.nio.file.Path;
import java.util.List;

/**
 * How a model is cut into a pipeline, and what its stages are to keep.
 *
 * @param model the model's directory, which members that are not told another one open
 * @param modelBytes the bytes of its weights, by which members see that theirs is the same
 * @param spans the stages in their order, from the embedding to the loss
 * @param schedule in which order they compute
 * @param maxTokens the most tokens of a micro-batch
 * @param window how many micro-batches are under way at once, where there are no rounds
 * @param activationBytes what each stage may keep for the backwards of all that are
 */
public record PipelinePlan(
    Path model,
    long modelBytes,
    List<StageSpan> spans,
    PipelineSchedule schedule,
    int maxTokens,
    int window,
    long activationBytes) {
  public PipelinePlan {
    spans = List.copyOf(spans);
    int next = 0;
    for (int stage = 0; stage < spans.size(); stage++) {
      StageSpan span = spans.get(stage);
      boolean isFirst = stage == 0;
      boolean isLast = stage == spans.size() - 1;
      if (span.first() != next || span.embeds() != isFirst || span.scores() != isLast) {
        throw new IllegalArgumentException(
            "pipeline: expected stages from the embedding to the loss, each beginning where the one"
                + " before ends, found "
                + spans);
      }
      next = span.end();
    }
    if (spans.isEmpty() || maxTokens < 1 || window < 1) {
      throw new IllegalArgumentException(
          "pipeline: expected at least one stage, one token and one micro-batch, found "
              + spans.size()
              + ", "
              + maxTokens
              + " and "
              + window);
    }
  }

  /** Returns what members of the group may expect of one another. */
  public static GroupLimits limits() {
    // The schedule bounds what is under way; a window that could fill up could make stages wait for
    // one another.
    return GroupLimits.DEFAULT.withMessageBytes(1 << 28).withWindow(1 << 12);
  }

  /**
   * Returns how many micro-batches should be under way for no stage to wait: one for each stage's
   * forward and one for its backward.
   */
  public static int windowOf(int stages) {
    return 2 * stages;
  }
}
